"""A workspace in which everything that the product reads is there, and a copy of it to start each fault from.

It is the undisturbed run's workspace, because a registry in SQLite names its files by their full paths. Added are an
approved version, a candidate that waits, scores, half a prediction, half a training, a study's inputs, versioned data.
"""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

from components.dataset.sample import SampleSpec
from components.predict import write
from components.review import decide
from components.storage.files import write_json
from components.train.state import TrainState
from components.train.watch import TrainingWatch
from tests.chaos import readers
from tests.chaos.isolated import run_isolated
from tests.chaos.readers import ADA, WAITING, Place, config_of, run_step
from tests.chaos.reference import Reference
from tests.unit.ingest.conftest import commit_data, git

KILLED_AT = 15  # of 2 epochs of 10 steps


def prepared(reference: Reference) -> Place:
    """Made once; a preparation that was broken off begins again."""
    place = Place(reference.workspace, reference.folder / "steps", reference.data, reference.folder / "repository")
    if not (reference.folder / "pristine" / "ready.json").is_file():
        _prepare(place, reference)
    restore(place)
    return place


def restore(place: Place) -> None:
    """Everything as it was before the first fault."""
    pristine = place.workspace.parent / "pristine"
    for folder in (place.workspace, place.steps, place.repository):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(pristine / folder.name, folder, symlinks=True)


def restore_caches(place: Place) -> None:
    cache = place.workspace / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(place.workspace.parent / "pristine" / place.workspace.name / "cache", cache, symlinks=True)


def _prepare(place: Place, reference: Reference) -> None:
    pristine = reference.folder / "pristine"
    for folder in (pristine, place.steps, place.repository):
        shutil.rmtree(folder, ignore_errors=True)
    _version_data(place.repository)
    (run,) = reference.workspace.glob("runs/*/steps/*/")
    for name, step in readers.ARTIFACTS.items():
        shutil.copytree(run / step / name, place.steps / step / name)
    for work in (_register_waiting, _approve, _compare_with_champion, _stop_training, _leave_prediction):
        seen = run_isolated(work, place, folder=reference.folder / "scratch")
        if work not in (_stop_training, _leave_prediction) and (seen.told or seen.crashed):
            raise SystemExit(f"{work.__name__}: {seen.told}{seen.crashed}\n{seen.log}")
    for reader in (readers.read_study, readers.read_versioned_data):
        run_isolated(reader, place, folder=reference.folder / "scratch")
    for folder in (place.workspace, place.steps, place.repository):
        shutil.copytree(folder, pristine / folder.name, symlinks=True)
    write_json(pristine / "ready.json", {})


def _version_data(repository: Path) -> None:
    (repository / ".dvc").mkdir(parents=True)
    git(repository, "init", "-q", "-b", "main")
    (repository / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = inside\n['remote \"inside\"']\n    url = ../store\n"
    )
    (repository / ".gitignore").write_text("/data\n/.dvc/cache\n/.dvc/tmp\n")
    commit_data(repository, SampleSpec(items=40, train_rows=120, valid_rows=40, test_rows=40), "two")


def _register_waiting(place: Place) -> None:
    run_step(place, "register", place.workspace / "registering", config_of(WAITING))


def _approve(place: Place) -> None:
    decide.approve(place.models(), 1, ADA)


def _compare_with_champion(place: Place) -> None:
    for step in ("fetch_champion", "validate", "evaluate", "gate"):
        out = place.workspace / f"making-{step}"
        run_step(place, step, out, config_of())
        name = readers.MADE[step]
        shutil.rmtree(place.artifact(name))
        shutil.move(out / name, place.artifact(name))


def _stop_training(place: Place) -> None:
    stepped = TrainingWatch.stepped

    def until_killed(self: TrainingWatch, state: TrainState, rows: int) -> None:
        stepped(self, state, rows)
        if state.total_steps == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    TrainingWatch.stepped = until_killed  # type: ignore[method-assign]
    readers.resume_training(place)


def _leave_prediction(place: Place) -> None:
    """All rows are scored and kept, and nothing is written yet."""

    def killed(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    readers.read_scores(place)
    write.WRITERS["parquet"] = killed
    readers.resume_prediction(place)
