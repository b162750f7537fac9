"""Two people decide at the same moment, in processes of their own, against PostgreSQL: exactly one decision counts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.review.settle import settle
from components.tracking.models import Models
from components.tracking.server import connect
from components.tracking.tags import STATUS
from tests.services.mlflow import MlflowServer
from tests.services.registry import champions, make_version, with_champions

pytestmark = pytest.mark.integration

# Waits, ready to decide, until it reads a line: so that all start in the same millisecond.
DECIDE = """
import json, sys
from components.errors import StepError
from components.review import decide
from components.review.decide import Reviewer
from components.tracking.models import Models
from components.tracking.server import connect
models = Models(connect(sys.argv[1]), sys.argv[2])
models.aliases()
print("ready", flush=True)
for line in sys.stdin:
    action, *arguments = json.loads(line)
    who = Reviewer(arguments.pop(), "at the same moment")
    try:
        answer = ["done", getattr(decide, action)(models, *arguments, who).sentence]
    except StepError as error:
        answer = ["refused", str(error)]
    print(json.dumps(answer), flush=True)
"""
ROUNDS = 4


class Person:
    def __init__(self, name: str, uri: str, model: str) -> None:
        self.name = name
        command = [sys.executable, "-c", DECIDE, uri, model]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hear()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, *command: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([*command, self.name]) + "\n")
        self.process.stdin.flush()

    def leave(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait(300)


@pytest.fixture(scope="module")
def models(mlflow_on_postgres: MlflowServer) -> Models:
    return Models(connect(mlflow_on_postgres.uri), "contested")


@pytest.fixture(scope="module")
def people(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Person]]:
    with_champions(models, tmp_path_factory.mktemp("package"))
    present = [Person(name, models.server.uri, models.name) for name in ("Ada", "Bob", "Cyd")]
    yield present
    for person in present:
        person.leave()


def at_once(people: list[Person], commands: list[tuple[object, ...]]) -> list[tuple[str, str]]:
    for person, command in zip(people, commands, strict=True):
        person.say(*command)
    return [tuple(json.loads(person.hear())) for person in people]


def test_of_simultaneous_approvals_exactly_one_wins(models: Models, people: list[Person], tmp_path: Path) -> None:
    for _ in range(ROUNDS):
        champion, _previous = champions(models)
        assert champion is not None
        waiting = [make_version(models, tmp_path, compared_with=str(champion)) for _ in people]
        answers = at_once(people, [("approve", number) for number in waiting])
        assert [kind for kind, _ in answers].count("done") == 1, answers
        winner = waiting[[kind for kind, _ in answers].index("done")]
        registry, mended = settle(models)
        assert mended == []  # nobody left anything undone
        assert champions(models) == (winner, champion)
        for number in waiting:
            assert registry.versions[number].tags[STATUS] == ("approved" if number == winner else "pending")
        for kind, sentence in answers:
            if kind == "refused":
                assert "decided first" in sentence or f"the champion is {winner} now" in sentence, sentence


def test_of_simultaneous_rollbacks_exactly_one_counts(models: Models, people: list[Person]) -> None:
    champion, previous = champions(models)
    answers = at_once(people, [("rollback",)] * len(people))
    assert [kind for kind, _ in answers].count("done") == 1, answers
    assert champions(models) == (previous, champion)


def test_approving_and_rejecting_the_same_version_ends_in_one_state(
    models: Models, people: list[Person], tmp_path: Path
) -> None:
    champion, previous = champions(models)
    number = make_version(models, tmp_path, compared_with=str(champion))
    answers = at_once(people, [("approve", number), ("reject", number), ("approve", number)])
    registry, _ = settle(models)
    if registry.status(number) == "approved":
        assert champions(models) == (number, champion)
    else:
        assert registry.status(number) == "rejected"
        assert champions(models) == (champion, previous)
        assert [kind for kind, _ in answers] == ["refused", "done", "refused"]
