"""PostgreSQL, S3 or MLflow is killed while the product works with it, and comes back a few seconds later.

The registry is as in production: MLflow on PostgreSQL, artifacts on S3. Allowed is that the work ends as if nothing had
happened, or one clear line; then the same command, sent again, must end as if nothing had happened.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from components.packages.format import package_hash
from components.review import decide
from components.review.settle import settle
from components.tracking.tags import PACKAGE_HASH, facts_of
from infra.local.postgres import Postgres
from infra.local.s3 import S3Server, free_ports
from tests.chaos import readers
from tests.chaos.isolated import run_isolated, start
from tests.chaos.place import prepared, restore_caches
from tests.chaos.readers import ADA, Place, config_of, run_step
from tests.chaos.record import Record, Result, WrongError
from tests.chaos.reference import Reference
from tests.services.mlflow import running_mlflow
from tests.services.registry import make_version

AWAY = 4.0  # seconds that a killed server stays away: less than a client's patience of 15 s
LOST = ("PostgreSQL", "S3")


@dataclass(frozen=True)
class Stack:
    """The servers that the registry consists of, beside MLflow, which keeps nothing."""

    servers: dict[str, Postgres | S3Server]
    uri: str

    def lose(self, which: str) -> None:
        """Kills a server, and starts it again after a while."""
        self.servers[which].kill()
        time.sleep(AWAY)
        self.servers[which].start()


@contextmanager
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="mmctr-servers-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's user must be able to enter it
        s3, postgres = S3Server(folder / "s3"), Postgres(folder / "postgres", free_ports(1)[0])
        s3.start()
        postgres.start()
        try:
            artifacts, backend = f"s3://{s3.make_bucket()}/mlflow", postgres.url.replace("://", "+psycopg2://", 1)
            with running_mlflow(
                folder / "mlflow", backend, artifacts, env=s3.writer.environment(s3.endpoint)
            ) as mlflow:
                yield Stack({"PostgreSQL": postgres, "S3": s3}, mlflow.uri)
        finally:
            s3.kill()
            postgres.stop()


def register(place: Place, name: str, out: Path) -> Any:
    run_step(place, "register", out, config_of(name))
    (version,) = place.models(name).versions()
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        whole = package_hash(place.models(name).download(1, Path(scratch))) == version.tags[PACKAGE_HASH]
    return [version.number, facts_of(version.tags)["weights_sha256"], whole, place.models(name).aliases()]


def approve(place: Place, name: str, _: Path) -> Any:
    decide.approve(place.models(name), 1, ADA)
    registry, mended = settle(place.models(name))
    return [registry.champion, len(registry.book.decisions), mended]


def predict(place: Place, _: str, __: Path) -> Any:
    return readers.read_scores_anew(place)


def train(place: Place, _: str, __: Path) -> Any:
    return readers.read_step(place, "train")


WORK: dict[str, Callable[[Place, str, Path], Any]] = {
    "register": register,
    "approve": approve,
    "predict": predict,
    "train": train,
}


def run_servers(record: Record, reference: Reference, count: int) -> None:
    """Each server is lost `count` times during each kind of work, at moments that the seed decides."""
    names = {(lost, work, n): f"{lost} lost during {work}, {n}" for n in range(count) for lost in LOST for work in WORK}
    if all(map(record.has, names.values())):
        return
    place, chance = prepared(reference), random.Random(record.seed)
    with stack() as servers, tempfile.TemporaryDirectory(dir=reference.folder) as scratch:
        place = replace(place, steps=reference.steps, registry=servers.uri)
        undisturbed = {work: _undisturbed(place, work, Path(scratch)) for work in WORK}
        for (lost, work, _), name in names.items():
            fault = partial(_lose, servers, lost, work, chance.random(), place, undisturbed[work], Path(scratch))
            record.attempt(f"{lost} during {work}", name, fault)


def _undisturbed(place: Place, work: str, scratch: Path) -> tuple[Any, float]:
    """What the work ends with, and how long it takes."""
    _make_ready(place, work, "undisturbed")
    if work == "predict":
        run_isolated(approve, place, "mmctr", scratch, folder=scratch / "process")
    started = time.monotonic()
    name = "mmctr" if work == "register" else "undisturbed"  # the model that predict serves
    seen = run_isolated(WORK[work], place, name, scratch / work, folder=scratch / "process")
    if seen.told or seen.crashed:
        raise SystemExit(f"{work} does not work undisturbed: {seen.told}{seen.crashed}")
    return seen.value, time.monotonic() - started


def _make_ready(place: Place, work: str, name: str) -> None:
    restore_caches(place)
    if work == "approve":
        with tempfile.TemporaryDirectory(dir=place.workspace) as scratch:
            make_version(place.models(name), Path(scratch))


def _lose(
    servers: Stack, lost: str, work: str, moment: float, place: Place, undisturbed: tuple[Any, float], scratch: Path
) -> Result:
    expected, seconds = undisturbed
    name = f"lost{time.time_ns()}"
    _make_ready(place, work, name)
    call = (WORK[work], place, name)
    child = start(*call, scratch / name, folder=scratch / "process")
    child.process.join(moment * seconds)
    servers.lose(lost)
    seen = child.seen()
    words = f"{moment * seconds:.1f} s after its start: "
    if seen.crashed or len(seen.told.splitlines()) > 1:
        raise WrongError(f"{words}{(seen.crashed or seen.told)[-600:]}")
    if seen.told:
        again = run_isolated(*call, scratch / f"{name}-again", folder=scratch / "process")
        # An approval that had been written before the server was lost is found, and not written again.
        if again.value != expected:
            raise WrongError(f"{words}{seen.told!r}, and then {again.value or again.told or again.crashed}")
        return Result("told", words + seen.told)
    if seen.value != expected:
        raise WrongError(f"{words}{seen.value}, undisturbed {expected}")
    return Result("recovered", f"{words}waited for the server, and ended as without the fault")
