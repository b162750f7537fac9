"""Eight processes do the same thing, or get in one another's way, at the same instant.

Each race runs on a registry in a SQLite file, as a laptop has it, and on an MLflow server with PostgreSQL.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from components.review import decide
from components.review.settle import settle
from components.tracking.server import connect
from components.tracking.tags import STATUS
from tests.chaos import readers
from tests.chaos.isolated import Seen, run_together
from tests.chaos.place import prepared, restore, restore_caches
from tests.chaos.readers import Place, config_of, run_step
from tests.chaos.record import Record, Result, WrongError
from tests.chaos.reference import Reference
from tests.services.mlflow import running_mlflow, running_postgres
from tests.services.registry import make_version

AT_ONCE = 8


@dataclass(frozen=True)
class Arena:
    """Where a race is run. `first` has the artifacts of a run that had no champion, so it can register again."""

    place: Place
    first: Place
    scratch: Path
    name: str  # of the registered model, a fresh one for each race


def register(arena: Arena, out: Path) -> int:
    run_step(arena.first, "register", out, config_of(arena.name))
    return len(arena.first.models(arena.name).versions())


def act(arena: Arena, action: str, number: int, who: str) -> str:
    models, reviewer = arena.first.models(arena.name), decide.Reviewer(who, "at the same moment")
    if action == "settle":
        settle(models)
        return "settled"
    if action == "rollback":
        return decide.rollback(models, reviewer).sentence
    return {"approve": decide.approve, "reject": decide.reject}[action](models, number, reviewer).sentence


def open_registry(uri: str) -> int:
    return len(connect(uri).call("search_experiments"))


def eight_register(arena: Arena) -> Result:
    """The same candidate: one version, whoever was first."""
    seen = run_together([(register, arena, arena.scratch / f"out-{i}") for i in range(AT_ONCE)], arena.scratch)
    _nobody_crashed(seen)
    models = arena.first.models(arena.name)
    versions, aliases = models.versions(), models.aliases()
    if len(versions) != 1 or aliases != {"challenger": versions[0].number}:
        raise WrongError(f"{len(versions)} versions, aliases {aliases}")
    return Result("recovered", f"one version, {_count(seen)}")


def eight_approve(arena: Arena) -> Result:
    """Eight candidates, each approved by another person: one becomes champion, the others are told."""
    models = arena.first.models(arena.name)
    numbers = [make_version(models, arena.scratch / "package") for _ in range(AT_ONCE)]
    seen = run_together([(act, arena, "approve", n, f"person {n}") for n in numbers], arena.scratch / "race")
    _nobody_crashed(seen)
    registry, mended = settle(models)
    won = [n for n, one in zip(numbers, seen, strict=True) if not one.told]
    approved = [n for n in numbers if registry.status(n) == "approved"]
    if won != approved or len(won) != 1 or registry.champion != won[0] or mended:
        raise WrongError(f"won {won}, approved {approved}, champion {registry.champion}, mended {mended}")
    return Result("recovered", f"one approval counts, {_count(seen)}")


def all_commands_at_once(arena: Arena) -> Result:
    """Approve, reject, roll back, settle and register: every reader afterwards sees one consistent state."""
    models = arena.first.models(arena.name)
    number = make_version(models, arena.scratch / "package")
    acts: list[tuple[Any, ...]] = [
        (act, arena, action, number, action)
        for action in ("approve", "reject", "approve", "settle", "rollback", "settle")
    ]
    acts += [(register, arena, arena.scratch / f"out-{i}") for i in range(AT_ONCE - len(acts))]
    seen = run_together(acts, arena.scratch / "race")
    _nobody_crashed(seen)
    registry, _ = settle(models)
    status = registry.status(number)
    if status not in ("approved", "rejected") or (registry.champion == number) != (status == "approved"):
        raise WrongError(f"version {number} is {status}, the champion {registry.champion}")
    if settle(models)[1] or registry.versions[number].tags[STATUS] != status:
        raise WrongError("the registry is not settled after a second look")
    return Result("recovered", f"version {number} is {status}, {_count(seen)}")


def eight_predict_one_file(arena: Arena) -> Result:
    """The same output: one writes it, the others are told or find it written."""
    shutil.rmtree(arena.place.workspace / "cache" / "models")
    seen = run_together([(readers.read_scores, arena.place, "scores.parquet")] * AT_ONCE, arena.scratch)
    _nobody_crashed(seen)
    return _same_scores(seen, arena)


def eight_predict(arena: Arena) -> Result:
    """Files of their own, from one cache that is empty."""
    for cache in ("models", "rows"):
        shutil.rmtree(arena.place.workspace / "cache" / cache, ignore_errors=True)
    seen = run_together([(readers.read_scores, arena.place, f"s{i}.parquet") for i in range(AT_ONCE)], arena.scratch)
    _nobody_crashed(seen)
    if any(one.told for one in seen):
        raise WrongError(next(one.told for one in seen if one.told))
    return _same_scores(seen, arena)


def eight_train(arena: Arena) -> Result:
    """The same training, in one workspace whose caches are empty: all get the same weights."""
    shutil.rmtree(arena.place.workspace / "cache" / "training")
    seen = run_together([(readers.read_step, arena.place, "train")] * AT_ONCE, arena.scratch)
    _nobody_crashed(seen)
    values = [one.value for one in seen]
    if any(one.told for one in seen) or any(value != values[0] for value in values):
        raise WrongError(f"not the same weights: {[one.told or one.value for one in seen]}")
    trainings = list((arena.place.workspace / "cache" / "training").glob("*/results"))
    return Result("recovered", f"the same weights {AT_ONCE} times, {len(trainings)} training in the cache")


def eight_open_a_new_registry(arena: Arena) -> Result:
    """The tables of a SQLite file are made once."""
    uri = f"sqlite:///{arena.scratch / 'new' / 'mlflow.db'}" if not arena.place.registry else arena.place.uri
    seen = run_together([(open_registry, uri)] * AT_ONCE, arena.scratch)
    _nobody_crashed(seen)
    if any(one.told for one in seen):
        raise WrongError(next(one.told for one in seen if one.told))
    return Result("recovered", f"{AT_ONCE} opened it")


RACES: dict[str, Callable[[Arena], Result]] = {
    "register one candidate": eight_register,
    "approve eight candidates": eight_approve,
    "approve, reject, roll back, settle, register": all_commands_at_once,
    "predict into one file": eight_predict_one_file,
    "predict into eight files": eight_predict,
    "train one model": eight_train,
    "open a new registry": eight_open_a_new_registry,
}


def run_races(record: Record, reference: Reference, count: int) -> None:
    place = prepared(reference)
    for kind in ("SQLite", "PostgreSQL"):
        names = [f"{race}, {kind}, round {n}" for n in range(count) for race in RACES]
        if all(record.has(name) for name in names):
            continue
        with _registry(kind) as uri:
            for round_ in range(count):
                for race, run in RACES.items():
                    fault = partial(_race, run, replace(place, registry=uri), reference, f"race-{kind}-{race}-{round_}")
                    record.attempt(race, f"{race}, {kind}, round {round_}", fault)
    restore(place)


def _race(run: Callable[[Arena], Result], place: Place, reference: Reference, name: str) -> Result:
    restore_caches(place)  # not the registry's file, which this process has open
    name = "".join(letter for letter in name if letter.isalnum())
    with tempfile.TemporaryDirectory(dir=reference.folder) as scratch:
        arena = Arena(place, replace(place, steps=reference.steps), Path(scratch), name)
        if place.registry and not place.models().versions():
            run_step(arena.first, "register", Path(scratch) / "champion", config_of())
            decide.approve(place.models(), 1, readers.ADA)
        return run(arena)


@contextmanager
def _registry(kind: str) -> Iterator[str]:
    if kind == "SQLite":
        yield ""
        return
    with (
        tempfile.TemporaryDirectory(prefix="mmctr-races-") as folder,
        running_postgres() as backend,
        running_mlflow(Path(folder), backend, f"{folder}/artifacts") as server,
    ):
        yield server.uri


def _nobody_crashed(seen: list[Seen]) -> None:
    for one in seen:
        if one.crashed or len(one.told.splitlines()) > 1:
            raise WrongError((one.crashed or one.told)[-600:])


def _same_scores(seen: list[Seen], arena: Arena) -> Result:
    scores = {one.value for one in seen if not one.told}
    alone = readers.read_scores(arena.place)
    if scores != {alone}:
        raise WrongError(f"scores {scores}, alone {alone}")
    return Result("recovered", f"the same bytes, {_count(seen)}")


def _count(seen: list[Seen]) -> str:
    told = [one.told for one in seen if one.told]
    return f"{len(seen) - len(told)} done, {len(told)} told" + (f": {told[0][:160]}" if told else "")
