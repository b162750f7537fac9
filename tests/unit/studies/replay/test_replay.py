"""A whole replay of a small made-up data set, with the pipeline's own steps: it finds what is true of the data.

One replay serves all tests: its trainings are most of their cost.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.dataset.layout import SPLITS, split_path
from components.dataset.sample import DaysSpec, SampleSpec, write_days
from components.settings import to_dict
from components.storage.files import read_json
from pipelines.presets import resolve
from studies.replay import chain as chains
from studies.replay.chain import Chain
from studies.replay.night import NightPlan
from studies.replay.policies import parse_policies
from studies.replay.prepare import ReplayInputs, prepare
from studies.replay.report import render
from studies.replay.results import results_of

# The feed breaks on day 9 and tastes shift on day 13; the nights are the eves of the days 15 to 19. On the first,
# the broken day is a quarter of the four days that train learns from, so validation stops the run.
DAYS = DaysSpec(days=20, rows_a_day=480, shift=3.0, drift=0.1, season=0.0, born_later=0.2, lifetime=0)
PLAN = NightPlan(nights=5, window=4)
STOPPED = 1  # nights
CONFIG = resolve(
    "sample",
    [
        "train.max_epochs=1",
        "train.batch_size=64",
        "train.calibration=platt",
        "gate.minimum_rows=100",
        "gate.auc_floor=0.0",
        "gate.baseline_margin=-1.0",
        "gate.calibration_ceiling=1.0",
        "evaluate.bootstrap_samples=100",
    ],
)


@dataclass
class Replay:
    """A replay in this process: chains are processes of their own otherwise."""

    data: Path
    workspace: Path
    plan: NightPlan = PLAN

    def __post_init__(self) -> None:
        request = {"config": to_dict(CONFIG), "plan": to_dict(self.plan), "data": str(self.data)}
        self.inputs: ReplayInputs = prepare(
            {**request, "workspace": str(self.workspace), "repository": "", "revision": ""}
        )

    def chain(self, name: str) -> Chain:
        return Chain.of(parse_policies(name)[0], self.plan, CONFIG, self.workspace / "cache", self.inputs)

    def play(self, name: str) -> list[Path]:
        chain = self.chain(name)
        chain.folder.mkdir(parents=True, exist_ok=True)
        chains._work(chain.request(self.inputs))
        return chain.nights()

    def trainings(self) -> int:
        return len(list((self.workspace / "cache" / "replay" / "trained").glob("[!.]*")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("replay") / "days"
    write_days(out, SampleSpec(items=60, content="item_info"), DAYS)
    return out


@pytest.fixture(scope="module")
def replay(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """`never` is played whole; `cold nightly` is interrupted before its last night, and then goes on."""
    replay = Replay(data, tmp_path_factory.mktemp("workspace"))
    replay.play("never")
    chain = replay.chain("cold nightly")
    chain.folder.mkdir(parents=True)
    shortened = {**chain.request(replay.inputs), "plan": to_dict(NightPlan(4, window=4))}
    chains._work({**shortened, "cutoffs": replay.inputs.cutoffs[:4]})
    (chain.folder / "cell.json").unlink()  # as if it had been killed then
    return replay


@pytest.fixture(scope="module")
def results(replay: Replay) -> dict[str, Any]:
    replay.play("cold nightly")
    found = [replay.chain(name) for name in ("never", "cold nightly")]
    return results_of(PLAN, found, replay.inputs, {})


def test_it_finds_the_policy_that_is_best_in_truth(results: dict[str, Any]) -> None:
    assert results["truth"]["best"] == "cold nightly"
    assert results["advice"]["use"] == "cold nightly"
    never = next(policy for policy in results["policies"] if policy["name"] == "never")
    assert never["difference"]["high"] < 0, "that knowledge ages is shown, not guessed"
    assert never["cpu_minutes"] < results["policies"][1]["cpu_minutes"]
    assert results["ageing"]["loss_a_day"]["value"] > 0


def test_the_broken_feed_stops_the_nights_that_would_learn_from_it(results: dict[str, Any]) -> None:
    for policy in results["policies"]:
        stopped = [night["night"] for night in policy["nights"] if night["stopped"]]
        assert stopped == list(range(STOPPED))
        assert all("history-filled" in policy["nights"][night]["stopped"] for night in stopped)
        assert all(policy["nights"][night]["auc"] is None for night in stopped), "no model was there to serve"
    assert {line["by"] for line in results["gate"]} == {"validation or a step"}


def test_policies_that_agree_share_a_training(replay: Replay, results: dict[str, Any]) -> None:
    never, nightly = ([cell.name for cell in replay.chain(name).nights()] for name in ("never", "cold nightly"))
    assert never[: STOPPED + 1] == nightly[: STOPPED + 1]
    assert replay.trainings() == PLAN.nights - STOPPED
    assert [policy["trained"] for policy in results["policies"]] == [1, PLAN.nights - STOPPED]


def test_a_replay_that_was_stopped_repeats_nothing(replay: Replay, results: dict[str, Any]) -> None:
    assert len(results["policies"][1]["nights"]) == PLAN.nights
    cells = replay.chain("cold nightly").nights()
    made = [(cell / "cell.json").stat().st_mtime_ns for cell in cells]
    replay.play("cold nightly")
    assert [(cell / "cell.json").stat().st_mtime_ns for cell in cells] == made


def test_a_warm_policy_starts_each_training_from_its_champion(replay: Replay) -> None:
    cells = [read_json(cell / "cell.json") for cell in replay.play("warm nightly")]
    starts = [cell["verdict"]["start"] for cell in cells if cell["trained"]]
    assert [start["from"] for start in starts] == ["scratch", *["champion"] * (len(starts) - 1)]
    assert len(starts) == PLAN.nights - STOPPED
    assert starts[1]["chain"] == 1


def test_a_night_does_not_change_when_what_follows_is_removed(replay: Replay, data: Path, tmp_path: Path) -> None:
    """In a workspace of its own: so a replay that is repeated scores the same, bit for bit, as well."""
    end = replay.inputs.cutoffs[STOPPED] + PLAN.stretch
    short = tmp_path / "short"
    shutil.copytree(data, short)
    rows = [pq.read_table(split_path(data, split)) for split in SPLITS]
    for split, table in zip(SPLITS, rows, strict=True):
        known = table.filter(pc.less(table.column("time"), end))
        pq.write_table(known if len(known) else table.slice(0, 0), split_path(short, split))
    again = Replay(short, tmp_path / "workspace", NightPlan(STOPPED + 1, window=4))
    assert again.inputs.cutoffs == replay.inputs.cutoffs[: STOPPED + 1]
    ours, theirs = replay.play("never")[STOPPED], again.play("never")[STOPPED]
    assert read_json(ours / "cell.json")["promoted"]
    assert np.array_equal(np.load(ours / "served.npy"), np.load(theirs / "served.npy"))


def test_what_a_replay_promotes_says_that_no_person_did(replay: Replay) -> None:
    cell = replay.play("never")[STOPPED]
    package = cell / "candidate" / "package"
    assert read_json(package / "lineage.json")["decided_by"] == "mmctr replay"
    assert read_json(cell / "candidate" / "champion.json")["version"] == str(STOPPED)


def test_its_page_shows_its_numbers(results: dict[str, Any]) -> None:
    page = render(results)
    assert "Use “cold nightly”" in page
    assert "The replay found it." in page
    assert f"{results['policies'][1]['auc']['value']:.4f}" in page
