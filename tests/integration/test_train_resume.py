"""A training that is killed at any step, and started again, ends with the same weights bit for bit."""

import errno
import functools
import logging
import os
import platform
import random
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import Artifacts
from components.batches import scoring
from components.errors import StepError
from components.storage.files import read_json
from components.train import snapshots as snapshots_module
from components.train import watch, worker
from components.train.job import Job
from components.train.snapshots import Snapshots
from components.train.state import TrainState
from components.train.watch import TrainingWatch
from tests.forked_ranks import results_of, run_ranks
from tests.tiny_training import MODEL, recipe, write_inputs, written_job
from tests.two_nights import two_nights

pytestmark = pytest.mark.integration

STEPS = 22  # 2 epochs of 11


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """The data of a second night, with the champion of the first."""
    return two_nights(tmp_path_factory.mktemp("nights")).second


def make_job(
    inputs: Artifacts, work: Path, ranks: int = 1, id_optimizer: str = "adam", checkpoint_steps: int = 3
) -> Job:
    settings = {
        "processes": ranks,
        "launcher": "torchrun",
        "checkpoint_steps": checkpoint_steps,
        "average_decay": 0.9,
        "id_optimizer": id_optimizer,
    }
    return written_job(inputs, recipe(MODEL, **settings), work)


@pytest.mark.parametrize("id_optimizer", ["adam", "rowwise"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_killed_at_random_steps_ends_bit_identical(
    inputs: Artifacts, tmp_path: Path, ranks: int, id_optimizer: str
) -> None:
    whole, broken = (
        make_job(inputs, tmp_path / name, ranks, id_optimizer=id_optimizer) for name in ("whole", "broken")
    )
    assert run_ranks(whole, ranks) == [0] * ranks

    kills = 0
    chance = random.Random(20261120 + ranks)
    while not broken.finished:
        # Steps between two kills; 4 and more get past a checkpoint, so that every life makes progress.
        codes = run_ranks(broken, ranks, kill_at=chance.randint(4, 6) if kills < 5 else None)
        if not broken.finished:
            assert codes[-1] == -signal.SIGKILL
            assert 0 not in codes, "a rank outlived the one that was killed"
            kills += 1
    assert kills == 5
    assert results_of(broken) == results_of(whole)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_start_from_the_champion_that_is_killed_ends_bit_identical(
    nights: Artifacts, tmp_path: Path, ranks: int
) -> None:
    settings = {"start": "champion", "pull_to_champion": 1.0, "processes": ranks, "launcher": "torchrun"}
    config = recipe(MODEL, checkpoint_steps=2, average_decay=0.9, **settings)
    whole, broken = (written_job(nights, config, tmp_path / name) for name in ("whole", "broken"))
    assert run_ranks(whole, ranks) == [0] * ranks
    kills = 0
    while not broken.finished:
        # Before the first checkpoint, then in the middle of an epoch, then after the first one.
        codes = run_ranks(broken, ranks, kill_at=(1, 4, 3)[kills] if kills < 3 else None)
        kills += not broken.finished
        assert broken.finished or codes[-1] == -signal.SIGKILL
    assert kills == 3
    assert results_of(broken) == results_of(whole)


def test_more_than_two_ranks_add_up_in_the_same_order_after_a_restart(inputs: Artifacts, tmp_path: Path) -> None:
    """With two, a sum has only one order. DistributedDataParallel packs the first step's gradients in its own way."""
    whole, broken = make_job(inputs, tmp_path / "whole", 3), make_job(inputs, tmp_path / "broken", 3)
    assert run_ranks(whole, 3) == [0] * 3
    run_ranks(broken, 3, kill_at=5)
    assert run_ranks(broken, 3) == [0] * 3
    assert results_of(broken) == results_of(whole)


@pytest.mark.parametrize("ranks", [1, 2])
def test_asked_to_end_it_writes_a_checkpoint_first(inputs: Artifacts, tmp_path: Path, ranks: int) -> None:
    """Kubernetes sends SIGTERM to a pod that must go; torchrun hands it on. One of two ranks is enough."""
    endless = recipe(processes=ranks, launcher="torchrun", checkpoint_minutes=600.0)
    whole, broken = (written_job(inputs, endless, tmp_path / name) for name in ("whole", "broken"))
    assert run_ranks(whole, ranks) == [0] * ranks

    def ask_at_step_five() -> None:
        stepped = TrainingWatch.stepped

        def asked(self: TrainingWatch, state: TrainState, rows: int) -> None:
            if state.total_steps == 5 and self.ranks.rank == ranks - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            stepped(self, state, rows)

        TrainingWatch.stepped = asked  # type: ignore[method-assign]

    assert set(run_ranks(broken, ranks, before=ask_at_step_five)) == {128 + signal.SIGTERM}
    saved = Snapshots(broken.folder / "snapshots").paths()[-1]
    # Several ranks ask one another at every sixteenth step, and before they score the valid split.
    assert int(saved.name.split("-")[0]) == (5 if ranks == 1 else STEPS // 2)
    assert run_ranks(broken, ranks) == [0] * ranks
    assert results_of(broken) == results_of(whole)


@pytest.mark.parametrize("ranks", [1, 2])
def test_asked_to_end_while_it_scores_the_valid_split_it_does_not_wait_for_the_end(
    inputs: Artifacts, tmp_path: Path, ranks: int
) -> None:
    """Scoring a large split takes longer than a pod has to go, and the epoch would be lost."""
    whole, broken = (make_job(inputs, tmp_path / name, ranks, checkpoint_steps=0) for name in ("whole", "broken"))
    assert run_ranks(whole, ranks) == [0] * ranks

    def ask_at_the_second_batch() -> None:
        watch.VALID_BATCH = 20
        scored, calls = scoring.score, 0

        def asked(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2 and int(os.environ["RANK"]) == ranks - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            assert calls < 4, "it goes on scoring"
            return scored(*arguments)

        watch.score = asked  # type: ignore[assignment, attr-defined]

    assert set(run_ranks(broken, ranks, before=ask_at_the_second_batch)) == {128 + signal.SIGTERM}
    assert [int(path.name.split("-")[0]) for path in Snapshots(broken.folder / "snapshots").paths()] == [STEPS // 2]
    assert run_ranks(broken, ranks) == [0] * ranks
    assert results_of(broken) == results_of(whole)


def test_a_host_that_sees_an_older_folder_continues_where_the_first_one_does(inputs: Artifacts, tmp_path: Path) -> None:
    """A network file system may list a new file on one host later than on another."""
    whole, broken = make_job(inputs, tmp_path / "whole", 2), make_job(inputs, tmp_path / "broken", 2)
    assert run_ranks(whole, 2) == [0, 0]
    run_ranks(broken, 2, kill_at=8)
    assert len(Snapshots(broken.folder / "snapshots").paths()) == 2

    def list_the_older_one_alone() -> None:
        paths = Snapshots.paths
        if os.environ["RANK"] == "1":
            Snapshots.paths = lambda self: paths(self)[:1]  # type: ignore[method-assign]

    assert run_ranks(broken, 2, before=list_the_older_one_alone) == [0, 0]
    assert results_of(broken) == results_of(whole)


def test_a_host_without_the_shared_folder_is_named(inputs: Artifacts, tmp_path: Path) -> None:
    broken = make_job(inputs, tmp_path, 2)
    run_ranks(broken, 2, kill_at=8)

    def look_elsewhere() -> None:
        if os.environ["RANK"] == "1":
            Snapshots.read = functools.partial(Snapshots.read, Snapshots(tmp_path))  # type: ignore[method-assign]

    assert run_ranks(broken, 2, before=look_elsewhere)[1] == worker.NEEDS_A_PERSON
    message = read_json(broken.folder / "failure.json")["message"]
    assert message.startswith(f"{platform.node()} does not see the checkpoint")


@pytest.mark.parametrize("moment", ["before the first checkpoint", "while a checkpoint is written", "at the rename"])
def test_killed_at_the_worst_moment_ends_bit_identical(inputs: Artifacts, tmp_path: Path, moment: str) -> None:
    whole, broken = make_job(inputs, tmp_path / "whole"), make_job(inputs, tmp_path / "broken")
    assert run_ranks(whole) == [0]

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def arm() -> None:
        if moment == "while a checkpoint is written":
            os.fsync = die  # type: ignore[assignment]
        elif moment == "at the rename":
            snapshots_module._sync_folder = die  # type: ignore[assignment]

    kill_at = 2 if moment == "before the first checkpoint" else None
    assert run_ranks(broken, kill_at=kill_at, before=arm) == [-signal.SIGKILL]
    assert run_ranks(broken) == [0]
    assert results_of(broken) == results_of(whole)
    assert list((broken.folder / "snapshots").iterdir()) == []
    assert list(broken.folder.glob("best-*")) == []


@pytest.mark.parametrize("damage", ["cut", "bit"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    inputs: Artifacts, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole, broken = make_job(inputs, tmp_path / "whole"), make_job(inputs, tmp_path / "broken")
    assert run_ranks(whole) == [0]
    run_ranks(broken, kill_at=15)
    older, newest = Snapshots(broken.folder / "snapshots").paths()
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content[:-100] if damage == "cut" else content)

    with caplog.at_level(logging.WARNING):
        assert Snapshots(broken.folder / "snapshots").newest() == older.name
    assert f"checkpoint {newest} is damaged" in caplog.text

    assert run_ranks(broken) == [0]
    assert results_of(broken) == results_of(whole)


def test_a_full_disk_is_said_and_leaves_the_last_checkpoint(inputs: Artifacts, tmp_path: Path) -> None:
    job = make_job(inputs, tmp_path / "work")
    run_ranks(job, kill_at=5)
    (good,) = Snapshots(job.folder / "snapshots").paths()
    content = good.read_bytes()

    def shrink() -> None:
        """Files may not grow past half a checkpoint: writing one fails as on a full disk."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = len(content) // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    assert run_ranks(job, before=shrink) == [2]
    message = read_json(job.folder / "failure.json")["message"]
    assert "could not be written" in message
    assert os.strerror(errno.EFBIG) in message
    assert f"it continues from {good.name}" in message
    assert [path.name for path in (job.folder / "snapshots").iterdir()] == [good.name]
    assert good.read_bytes() == content


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, keep=2)
    for step in (9, 10, 11):
        snapshots.write(step, {"total_steps": step})
    assert [int(path.name.split("-")[0]) for path in snapshots.paths()] == [10, 11]
    newest = snapshots.newest()
    assert newest is not None
    assert snapshots.read(newest) == {"total_steps": 11}


@pytest.mark.parametrize("damage", ["bit", "missing"])
def test_damaged_best_weights_are_not_published(inputs: Artifacts, tmp_path: Path, damage: str) -> None:
    whole, broken = make_job(inputs, tmp_path / "whole"), make_job(inputs, tmp_path / "broken")
    assert run_ranks(whole) == [0]
    run_ranks(broken, kill_at=20)  # past the first epoch, whose weights are the best so far
    best = broken.best(0)
    content = bytearray(best.read_bytes())
    content[-1] ^= 1
    if damage == "bit":
        best.write_bytes(content)
    else:
        best.unlink()
    assert run_ranks(broken) == [0], "it trains from the beginning"
    assert results_of(broken) == results_of(whole)


def test_best_weights_that_are_damaged_while_it_trains_end_it_with_a_reason(
    inputs: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = make_job(inputs, tmp_path / "whole"), make_job(inputs, tmp_path / "broken")
    assert run_ranks(whole) == [0]
    monkeypatch.setattr(Job, "save_best", lambda *_: "another sha256")
    with pytest.raises(StepError, match=r"best-00000\d.safetensors was damaged while the training ran: run again"):
        worker.run(broken, lambda *_: None)
    monkeypatch.undo()
    assert run_ranks(broken) == [0]
    assert results_of(broken) == results_of(whole)


def test_a_full_disk_while_rows_are_written(inputs: Artifacts, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(StepError, match="the rows could not be written"):
            make_job(inputs, tmp_path / "work")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list((tmp_path / "work" / "rows").iterdir()) == []
