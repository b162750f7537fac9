"""Damages every cache and every artifact that the product reads, one file at a time, and reads it again.

Allowed is what would have been read without the damage (the product noticed and made the file anew, or does not need
it), or one clear line. Wrong is any other result, a traceback, or a cache that stays broken after its one line.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos import readers
from tests.chaos.damages import DAMAGES
from tests.chaos.isolated import Seen, run_isolated
from tests.chaos.place import prepared, restore
from tests.chaos.readers import Place
from tests.chaos.record import Record, Result, WrongError
from tests.chaos.reference import Reference


@dataclass(frozen=True)
class Target:
    """Files of one kind, below the workspace or the folder of the steps, and who reads them."""

    kind: str
    files: str  # a pattern
    reader: Callable[..., Any]
    step: str = ""  # for the reader `read_step`

    @property
    def reads(self) -> tuple[Any, ...]:
        return (self.reader, self.step)

    def read(self, place: Place, scratch: Path) -> Seen:
        return run_isolated(self.reader, *((place, self.step) if self.step else (place,)), folder=scratch)


CACHES = [
    Target("cached trainings", "cache/training/*/results/*.[sj]*", readers.read_step, "train"),
    Target("checkpoints", "cache/training/*/snapshots/*.pt", readers.resume_training),
    Target("best weights so far", "cache/training/*/best-*.safetensors", readers.resume_training),
    Target("converted rows", "cache/training/rows/*/[hru]*", readers.read_step, "train"),
    Target("item tables", "cache/training/items/*/*.npy", readers.read_step, "train"),
    Target("item vectors", "cache/embeddings/*/*.arrow", readers.read_step, "embed"),
    Target("projections", "cache/embeddings/projections/*.npz", readers.read_step, "embed"),
    Target("versioned data", "cache/data/**/??/*", readers.read_versioned_data),
    Target("inputs of studies", "study/cache/study/*/*/*.parquet", readers.read_study),
    Target("models for prediction", "cache/models/**/*.*", readers.read_scores),
    Target("rows for prediction", "cache/rows/*/[hru]*", readers.read_scores),
    Target("unfinished predictions", ".unfinished.parquet.unfinished/*.f32", readers.resume_prediction),
]
REGISTRY = [
    Target("files of the champion", "mlartifacts/mmctr/models/*/artifacts/**/*.*", readers.read_scores_anew),
    Target("files of a candidate", "mlartifacts/waiting/models/*/artifacts/**/*.*", readers.read_approval),
    Target("database of the registry", "mlflow.db", readers.read_review),
    Target("images", "cache/images/*/*", readers.read_images),
]
ARTIFACTS = [
    Target("dataset", "ingest/dataset/*.parquet", readers.read_step, "train"),
    Target("list of images", "ingest/images/images.json", readers.read_step, "validate"),
    Target("lineage", "ingest/lineage/*.json", readers.read_step, "register"),
    Target("champion", "fetch-champion/champion/**/*.*", readers.read_step, "evaluate"),
    Target("validation", "validate/validation/*.json", readers.read_step, "gate"),
    Target("embeddings", "embed/embeddings/*.*", readers.read_step, "train"),
    Target("training", "train/training/*.*", readers.read_step, "evaluate"),
    Target("evaluation", "evaluate/evaluation/metrics.json", readers.read_step, "gate"),
    Target("decision", "gate/decision/verdict.json", readers.read_step, "register"),
]
TARGETS = (*CACHES, *REGISTRY, *ARTIFACTS)


def run_corruptions(record: Record, reference: Reference, count: int) -> None:
    """Every damage on a file of every kind, as many as `count` says, in an order that the seed decides."""
    place, scratch = prepared(reference), reference.folder / "scratch"
    intact: dict[tuple[Any, ...], Any] = {}
    cases = [(target, damage) for target in TARGETS for damage in DAMAGES]
    random.Random(record.seed).shuffle(cases)
    for target, damage in cases[:count]:
        if target.reads not in intact:
            restore(place)
            intact[target.reads] = _intact(target, place, scratch)
        fault = partial(corrupt, target, damage, place, intact[target.reads], record.seed, scratch)
        record.attempt(target.kind, f"{target.kind}, {damage}", fault)
    restore(place)


def _intact(target: Target, place: Place, scratch: Path) -> Any:
    seen = target.read(place, scratch)
    if seen.told or seen.crashed:
        raise SystemExit(f"{target.kind} can't be read though it is intact: {seen.told}{seen.crashed}\n{seen.log}")
    return seen.value


def corrupt(target: Target, damage: str, place: Place, intact: Any, seed: int, scratch: Path) -> Result:
    restore(place)
    chance = random.Random(f"{seed} {target.kind} {damage}")
    root = place.steps if target in ARTIFACTS else place.workspace
    found = sorted(path for path in root.glob(target.files) if path.is_file() and path.stat().st_size)
    if not found:
        raise WrongError(f"no file matches {target.files}")
    path = chance.choice(found)
    DAMAGES[damage](path, chance)
    name = path.relative_to(root)
    seen = target.read(place, scratch)
    if seen.crashed:
        raise WrongError(f"{name}: {seen.crashed[-500:]}")
    if not seen.told:
        return _same(name, seen, intact)
    if len(seen.told.splitlines()) != 1:
        raise WrongError(f"{name}: more than one line: {seen.told[:500]}")
    if target in CACHES:
        again = target.read(place, scratch)
        if again.value != intact:
            raise WrongError(
                f"{name}: after {seen.told!r} the same command did not succeed: {again.told}{again.crashed}"
            )
    return Result("told", f"{name}: {seen.told}")


def _same(name: Path, seen: Seen, intact: Any) -> Result:
    if seen.value != intact:
        raise WrongError(f"{name}: another result without a word: {str(seen.value)[:300]}, not {str(intact)[:300]}")
    noticed = [line for line in seen.log.splitlines() if "damaged" in line]
    return Result("recovered", f"{name}: {noticed[0] if noticed else 'the result is the same'}")
