"""Registered versions without training anything, and a server that dies between any two calls."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from components.packages.format import FILES, METRICS, VERDICT, package_hash
from components.review.settle import settle
from components.tracking.decisions import Decision, append, read
from components.tracking.models import Models
from components.tracking.runs import run_for
from components.tracking.server import Server, connect
from components.tracking.tags import CHAMPION, COMPARED_WITH, GATE, NO_CHAMPION, PACKAGE_HASH, PREVIOUS, STATUS


def one_after_another(folder: Path) -> Iterator[Models]:
    """Models without versions, in one SQLite registry: making a registry takes seconds."""
    server = connect(f"sqlite:///{folder / 'mlflow.db'}")
    return (Models(server, f"ranker-{number}") for number in count())


def make_version(
    models: Models,
    scratch: Path,
    compared_with: str = NO_CHAMPION,
    passed: bool | None = True,
    rules: list[dict[str, Any]] | None = None,
    findings: list[dict[str, Any]] | None = None,
    **tags: str | None,
) -> int:
    """A pending version whose package holds placeholder files, a verdict with `rules` and the diagnosis `findings`.

    `tags` override.
    """
    run = run_for(f"package-{passed}-{scratch.name}", "review", models.server)
    package = scratch / f"package-{passed}" / "artifacts" / "package"
    if not package.exists():
        package.mkdir(parents=True)
        for file in FILES:
            (package / file).write_text("{}")
        for file in ("MLmodel", "requirements.txt", "serving_model.py"):
            # Not empty: an upload of nothing is sent without a length, and the faulty proxy would wait for its end.
            (package.parents[1] / file).write_text(f"the test's {file}\n")
        if findings:
            (package / METRICS).write_text(json.dumps({"diagnosis": {"findings": findings}}))
        (package / VERDICT).write_text(
            json.dumps({} if passed is None else {"passed": passed, **({"rules": rules} if rules else {})})
        )
    if not models.server.call("list_artifacts", run.run_id):
        models.server.call("log_artifacts", run.run_id, str(package.parents[1]), "model")
    source = f"{models.server.call('get_run', run.run_id).info.artifact_uri}/model"
    models.ensure("for tests")
    described = {
        STATUS: "pending",
        GATE: "pass",
        COMPARED_WITH: compared_with,
        PACKAGE_HASH: package_hash(package.parents[1]),
    }
    born = {key: value for key, value in {**described, **tags}.items() if value is not None}
    number = models.create(source, born, run_id=run.run_id)
    models.set_alias("challenger", number)
    return number


def champions(models: Models) -> tuple[int | None, int | None]:
    aliases = models.aliases()
    return aliases.get(CHAMPION), aliases.get(PREVIOUS)


def with_champions(models: Models, scratch: Path) -> int:
    """Version 1, then 2 approved; 3 waits and was compared with 2. By the log alone: quicker than by `approve`."""
    for compared_with in (NO_CHAMPION, "1", "2"):
        waiting = make_version(models, scratch, compared_with=compared_with)
    for champion, number in ((None, 1), (1, 2)):
        book = read(models, [])
        decision = Decision(
            id=str(number),
            after=book.head,
            previous=book.hashes[book.head],
            action="approve",
            version=number,
            champion=champion,
            by="Ada",
            note="before the test",
            at="2026-11-20T05:00:00+00:00",
            evidence={"package_sha256": models.version(number).tags[PACKAGE_HASH]},
        )
        append(models, decision)
    settle(models)
    return waiting


class KilledError(BaseException):
    """Stands for kill -9: no handler of the code under test may catch it."""


@dataclass(frozen=True)
class DyingServer(Server):
    """Dies after its n-th call, counted from 0: for what is kept, that is before the next one too."""

    at: int
    calls: list[str] = field(default_factory=list)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        index = len(self.calls)
        self.calls.append(method)
        try:
            return super().call(method, *args, **kwargs)
        finally:
            if index == self.at:
                raise KilledError(f"after {method}")
