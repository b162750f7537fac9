"""One process of a training: `python -m components.train.worker --job FOLDER`, by itself, under torchrun, or in a pod.

Exit codes: 0 finished, 2 a person must act (the reason is in the log and in FOLDER/failure.json), 3 lost the other
processes, others a crash.
"""

import argparse
import dataclasses
import datetime
import json
import logging
import os
import platform
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch.distributed.elastic.multiprocessing.errors import record

from components.batches.grouping import group_costs
from components.batches.item_table import table_from, vocabulary_of
from components.batches.loader import Collator
from components.batches.rows import RowStore
from components.batches.scoring import score_logits
from components.errors import StepError
from components.packages.format import CHAIN, NEWEST_TIME
from components.process.lifeline import kill_when_starter_dies
from components.statistics.calibrate import calibrated, corrected
from components.storage.files import write_json
from components.train import arithmetic
from components.train.average import Average
from components.train.config import TrainConfig
from components.train.inherit import inherit, rows_to_learn
from components.train.job import Job, open_job, written_or_reason
from components.train.loop import Data, fit
from components.train.objective import Objective, Optimiser
from components.train.ranks import Ranks, is_lost_contact, joined
from components.train.sampler import Sampler
from components.train.snapshots import Snapshots
from components.train.state import TrainState
from components.train.watch import VALID_BATCH, OnMetrics, TrainingWatch
from model.calibration import LogitMap
from model.ranker import Ranker

NEEDS_A_PERSON = 2
LOST_THE_OTHERS = 3
LOST_CONTACT = (
    "lost the other processes: one of them or its host died, or the network was cut for longer than "
    "train.silence_minutes = {minutes:g}; the training continues from its last checkpoint when it is started again"
)

_log = logging.getLogger(__name__)


def run(job: Job, on_metrics: OnMetrics, leave_on_sigterm: bool = False) -> None:
    """Trains `job` from where its last checkpoint left it, and publishes its results.

    With `leave_on_sigterm`, as in a process of its own, SIGTERM writes a checkpoint first: a pod whose node is drained
    has a minute or two to go.
    """
    train = job.recipe.train
    with joined(train.device, datetime.timedelta(minutes=train.silence_minutes)) as ranks:
        _check_ranks(job, ranks)
        arithmetic.set_up(ranks.device)
        train_rows, valid_rows = job.rows()
        state, optimiser = build(job, ranks)
        snapshots = Snapshots(job.folder / "snapshots")
        data = data_of(job, ranks, train_rows, state.ranker)
        watch = TrainingWatch(job, ranks, data.sampler.rows, data.sampler.steps, valid_rows, snapshots, on_metrics)
        _resume(job, state, snapshots, ranks)
        if leave_on_sigterm:
            signal.signal(signal.SIGTERM, lambda *_: setattr(watch, "leaving", True))
        if job.start.champion:
            watch.champion_validated(state)
        fit(state, data, optimiser, job.recipe.train, watch)
        if ranks.first:
            _publish(job, state, snapshots, ranks, data.sampler, train_rows, valid_rows)
            snapshots.clear()
            job.discard_best()


def _resume(job: Job, state: TrainState, snapshots: Snapshots, ranks: Ranks) -> None:
    """The first rank chooses the checkpoint: of a shared folder, another host may see an older state for a while."""
    name = ranks.of_first(snapshots.newest() if ranks.first else None)
    if name is not None:
        saved = snapshots.read(name)
        best = saved["plateau"]["best_epoch"]
        if ranks.of_first(ranks.first and job.holds_best(best, saved["best_sha256"])):
            state.restore(saved, ranks)
            _log.info("continuing after step %d of epoch %d", state.step, state.epoch + 1)
            return
        _log.warning("%s is missing or damaged: training starts from the beginning", job.best(best))
    if ranks.first:  # what an earlier process left would count as newer than what this one is going to write
        snapshots.clear()
        job.discard_best()


def _check_ranks(job: Job, ranks: Ranks) -> None:
    wanted = job.recipe.train.processes * job.recipe.train.nodes
    if ranks.count != wanted:
        raise StepError(
            f"{ranks.count} processes were started, the run asks for train.processes x train.nodes = {wanted}: "
            "set one or the other (on a cluster, numProcPerNode of the ClusterTrainingRuntime)"
        )


def build(job: Job, ranks: Ranks) -> tuple[TrainState, Optimiser]:
    config, arrays = job.recipe.train, job.items()
    torch.manual_seed(config.seed)  # the same first weights on every rank
    vocabulary = vocabulary_of(arrays, job.features())
    ranker = Ranker(job.recipe.model, vocabulary, table_from(arrays)).to(ranks.device)
    if job.start.champion:
        inherit(ranker, job.champion())
    if "admitted" in arrays:
        ranker.item_encoder.hide_ids(torch.tensor(~arrays["admitted"], device=ranks.device))
    torch.manual_seed(config.seed + 1 + ranks.rank)  # but each its own dropout
    objective = Objective(ranker, config, ranks).train()
    optimizers = arithmetic.optimizers_for(ranker, config)
    optimiser = Optimiser(objective, optimizers, config.pull_to_champion if job.start.champion else 0.0)
    average = Average(ranker, config.average_decay) if config.average_decay else None
    loss_sum = torch.zeros((), dtype=torch.float64, device=ranks.device)
    return TrainState(ranker, optimizers, loss_sum, average), optimiser


def data_of(job: Job, ranks: Ranks, rows: RowStore, ranker: Ranker) -> Data:
    config = job.recipe.train
    chosen = rows_to_learn(rows.time, job.start.newest_time, config.replay_share, config.seed)
    learned = len(rows) if chosen is None else len(chosen)
    sampler = Sampler(learned, config.batch_size, config.seed, ranks.rank, ranks.count, config.accumulate, chosen)
    costs = group_costs(ranker, ranks.device.type)
    collate = Collator(rows, job.recipe.model.history_length, ranker.vocabulary.items, costs)
    return Data(sampler, collate, ahead=ranks.device.type == "cuda")


def _publish(
    job: Job,
    state: TrainState,
    snapshots: Snapshots,
    ranks: Ranks,
    sampler: Sampler,
    train: RowStore,
    valid: RowStore,
) -> None:
    best = state.plateau.best_epoch
    if not job.holds_best(best, state.best_sha256):
        snapshots.clear()
        raise StepError(
            f"{job.best(best)} was damaged while the training ran: run again, and it trains from the beginning"
        )
    config = job.recipe.train
    job.load_best(state.ranker, best)
    state.ranker.item_encoder.drop_hidden_ids()
    found, losses = _calibration(state.ranker, valid, config, ranks)
    state.ranker.calibrate(found)
    summary: dict[str, Any] = {
        "training": job.key,
        "preset": job.recipe.preset,
        "best_epoch": state.plateau.best_epoch,
        "valid_auc": state.plateau.best,
        "epochs": state.epoch,
        "steps": state.total_steps,
        "stopped_by": "patience" if state.plateau.stale_epochs >= config.patience else "max_epochs",
        "calibration": {"method": found.method, "log_loss": losses, "negatives_kept": config.negatives_kept},
        "rows": {"train": sampler.rows, "valid": len(valid), **_of_warm_start(job, sampler, train)},
        "weighted": train.mean_weight is not None,
        "parameters": sum(parameter.numel() for parameter in state.ranker.parameters()),
        "seconds": round(state.seconds, 3),
        "samples_per_second": round(sampler.rows * state.epoch / max(state.seconds, 1e-9), 1),
        "seed": config.seed,
        "device": torch.cuda.get_device_name(ranks.device) if ranks.device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "ranks": ranks.count,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if codes := state.ranker.item_encoder.quantiser_report:
        summary["codes"] = dataclasses.asdict(codes)
    about = {
        "training": job.key,
        "preset": job.recipe.preset,
        "epoch": str(best),
        "valid_auc": f"{state.plateau.best:.6f}",
        CHAIN: str(job.start.chain),
    }
    if train.time is not None:
        about[NEWEST_TIME] = str(train.time.max())
    job.publish(state.ranker, about, {"curves.json": state.curves, "summary.json": summary})


def _of_warm_start(job: Job, sampler: Sampler, train: RowStore) -> dict[str, int]:
    if sampler.chosen is None or train.time is None:
        return {}
    new = int((train.time[sampler.chosen] > job.start.newest_time).sum())
    return {"new": new, "replayed": sampler.rows - new, "left_out": len(train) - sampler.rows}


def _calibration(
    ranker: Ranker, valid: RowStore, config: TrainConfig, ranks: Ranks
) -> tuple[LogitMap, dict[str, float]]:
    logits = score_logits(ranker, valid, VALID_BATCH, ranks.device).astype(np.float64)
    labels, users = valid.label.astype(np.int64), np.asarray(valid.user, dtype=np.int64)
    found, losses = calibrated(labels, logits, users, config.calibration)
    return corrected(found, config.negatives_kept), losses


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="One process of a training.")
    parser.add_argument("--job", type=Path, required=True, help="the folder that the train step prepared")
    folder = parser.parse_args(arguments).job
    if "LOCAL_RANK" in os.environ:  # started by torchrun, in a session of its own
        kill_when_starter_dies()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    job = open_job(folder)

    def append(step: int, metrics: dict[str, float]) -> None:
        with written_or_reason(job.metrics), job.metrics.open("a") as file:
            file.write(json.dumps({"step": step, "metrics": metrics}) + "\n")

    try:
        run(job, append, leave_on_sigterm=True)
    except StepError as error:
        _log.error("%s", error)
        try:
            write_json(folder / "failure.json", {"message": str(error)})
        except OSError as unwritable:  # the step then has the log alone
            _log.warning("%s can't be written: %s", folder, unwritable)
        return NEEDS_A_PERSON
    except RuntimeError as error:
        if not is_lost_contact(error):
            raise
        minutes = job.recipe.train.silence_minutes
        _log.error("%s (%s, %s)", LOST_CONTACT.format(minutes=minutes), platform.node(), str(error).splitlines()[0])
        return LOST_THE_OTHERS
    return 0


def run_and_leave() -> NoReturn:
    """Ends without tearing the interpreter down, for the reason given in `ranks.joined`."""
    code: int | None = 1
    try:
        code = record(main)()  # tells torchrun what a crash was
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - the process ends with it
        traceback.print_exc()
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1 if code is None else code)


if __name__ == "__main__":
    run_and_leave()
