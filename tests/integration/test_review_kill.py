"""A decision killed between any two calls to MLflow: the next command mends it and tells what it mended."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.review.decide import DecisionResult, Reviewer, approve, reject, rollback
from components.review.settle import settle
from components.tracking.models import Models
from components.tracking.tags import CHALLENGER, STATUS
from tests.services.registry import DyingServer, KilledError, champions, one_after_another, with_champions

pytestmark = pytest.mark.integration
BOB = Reviewer("Bob", "as agreed")
Command = Callable[[Models], DecisionResult]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    return one_after_another(tmp_path_factory.mktemp("review"))


COMMANDS: dict[str, tuple[Command, tuple[int, int], dict[int, str]]] = {
    # what is run, the champions when it counts, and what becomes of the versions
    "approve": (lambda m: approve(m, 3, BOB), (3, 2), {1: "approved", 2: "approved", 3: "approved"}),
    "reject": (lambda m: reject(m, 3, BOB), (2, 1), {1: "approved", 2: "approved", 3: "rejected"}),
    "rollback": (lambda m: rollback(m, BOB), (1, 2), {1: "approved", 2: "rolled_back", 3: "pending"}),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_between_any_two_calls_is_mended_and_told(
    command: str, registry: Iterator[Models], tmp_path: Path
) -> None:
    run, decided, status = COMMANDS[command]
    unfinished, point, survived = 0, 0, False
    while not survived:
        models = next(registry)
        with_champions(models, tmp_path)
        dying = DyingServer(models.server.uri, models.server.client, at=point)
        try:
            run(Models(dying, models.name))
            survived = True
        except KilledError:
            point += 1
        found, mended = settle(models)  # what every next command begins with
        counts = len(found.book.decisions) == 3
        expected = status if counts else {1: "approved", 2: "approved", 3: "pending"}
        assert champions(models) == (decided if counts else (2, 1)), dying.calls
        assert {n: v.tags[STATUS] for n, v in found.versions.items()} == expected, dying.calls
        assert (CHALLENGER in found.aliases) == (expected[3] == "pending")
        assert all("decision 3" in sentence or "challenger" in sentence for sentence in mended)
        assert settle(models)[1] == []
        unfinished += bool(mended)
    assert unfinished >= 2, dying.calls  # some kills did leave work behind
