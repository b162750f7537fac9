"""What a decision writes; at every moment of it the champion and the one before can be found."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.errors import StepError
from components.packages.format import VERDICT
from components.review.decide import DecisionResult, Reviewer, approve, reject, rollback
from components.review.settle import look, settle
from components.storage.files import sha256_file
from components.tracking.decisions import DECISION, read
from components.tracking.models import PACKAGE, Models
from components.tracking.server import Server
from components.tracking.tags import CHALLENGER, CHAMPION, PACKAGE_HASH, PREVIOUS, STATUS
from tests.services.registry import champions, make_version, with_champions

BOB = Reviewer("Bob", "as agreed")
Command = Callable[[Models], DecisionResult]


@dataclass(frozen=True)
class WatchedServer(Server):
    """Notes where champion and previous champion stand after each call: what a kill there would leave."""

    name: str
    seen: list[tuple[int | None, int | None]] = field(default_factory=list)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        result = super().call(method, *args, **kwargs)
        self.seen.append(champions(Models(Server(self.uri, self.client), self.name)))
        return result


@pytest.mark.parametrize(
    ("command", "moments"),
    [
        # Before, with the way back written first, and after. Never (3, 1) or (1, 1): there 2 could not be reached.
        pytest.param(lambda models: approve(models, 3, BOB), [(2, 1), (2, 2), (3, 2)], id="approve"),
        pytest.param(lambda models: rollback(models, BOB), [(2, 1), (2, 2), (1, 2)], id="rollback"),
        pytest.param(lambda models: reject(models, 3, BOB), [(2, 1)], id="reject"),
    ],
)
def test_at_every_moment_the_previous_champion_is_kept(
    models: Models, tmp_path: Path, command: Command, moments: list[tuple[int, int]]
) -> None:
    with_champions(models, tmp_path)
    watched = WatchedServer(models.server.uri, models.server.client, models.name)
    command(Models(watched, models.name))
    assert list(dict.fromkeys(watched.seen)) == moments


def test_the_log_keeps_who_decided_what_on_which_evidence(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    before = datetime.now(UTC)
    approve(models, 3, BOB)
    book = read(models, models.versions())
    decision = book.decisions[3]
    verdict = sha256_file(models.download(3, tmp_path / "files") / PACKAGE / VERDICT)
    assert decision.evidence == {
        "package_sha256": models.version(3).tags[PACKAGE_HASH],
        "verdict_sha256": verdict,
        "compared_with": "2",
    }
    assert (decision.action, decision.version, decision.champion) == ("approve", 3, 2)
    assert (decision.by, decision.note) == ("Bob", "as agreed")
    assert (decision.after, decision.previous) == (2, book.hashes[2])
    at = datetime.fromisoformat(decision.at)
    assert at.utcoffset() is not None
    assert abs((at - before).total_seconds()) < 600
    assert len(decision.id) == 32


def test_a_rejection_and_a_rollback_name_the_files_they_are_about(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    rejected, first = (models.version(number).tags[PACKAGE_HASH] for number in (3, 1))
    reject(models, 3, BOB)
    rollback(models, BOB)
    decisions = read(models, models.versions()).decisions
    assert decisions[3].evidence == {"package_sha256": rejected}
    assert decisions[4].evidence == {"package_sha256": first}
    assert (decisions[4].version, decisions[4].champion) == (1, 2)


def test_the_result_names_the_champion_and_the_previous_one(models: Models, tmp_path: Path) -> None:
    waiting = with_champions(models, tmp_path)
    models.set_alias(CHAMPION, waiting)
    result = approve(models, waiting, BOB)
    assert result.sentence == "Bob approved version 3: as agreed."
    assert (result.champion, result.previous) == (3, 2)
    assert result.mended == ["champion stood at version 3 and is at version 2 now, as decision 2 says"]
    again = reject(models, make_version(models, tmp_path, compared_with="3"), BOB)
    assert (again.champion, again.previous, again.mended) == (3, 2, [])


@pytest.mark.parametrize("key", [STATUS, DECISION])
def test_a_tag_that_was_changed_by_hand_is_put_back(models: Models, tmp_path: Path, key: str) -> None:
    with_champions(models, tmp_path)
    right = models.version(1).tags[key]
    models.set_tag(1, key, "pending" if key == STATUS else read(models, []).reference(2))
    _, mended = settle(models)
    assert models.version(1).tags[key] == right
    said = {STATUS: "version 1 is approved now, by decision 1 (Ada approved", DECISION: "refers to decision 1 now"}
    assert len(mended) == 1
    assert said[key] in mended[0]
    assert settle(models)[1] == []


def test_a_version_that_was_decided_about_is_no_challenger(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    models.set_alias(CHALLENGER, 1)
    _, mended = settle(models)
    assert mended == ["version 1 is decided about and no longer the challenger"]
    assert CHALLENGER not in models.aliases()
    models.set_alias(CHALLENGER, 3)
    assert settle(models)[1] == []
    assert models.aliases()[CHALLENGER] == 3


def test_a_previous_champion_that_the_log_does_not_know_is_removed(models: Models, tmp_path: Path) -> None:
    approve(models, make_version(models, tmp_path), BOB)
    models.set_alias(PREVIOUS, 1)
    _, mended = settle(models)
    assert mended == ["previous_champion stood at version 1, but the log knows none: taken away"]
    assert models.aliases() == {CHAMPION: 1}


def test_a_champion_that_was_deleted_is_named_and_no_other_takes_its_place(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    models.delete(2)
    with pytest.raises(StepError, match="by the log champion is version 2, which was deleted"):
        settle(models)
    assert champions(models) == (None, 1)


def test_before_the_first_decision_the_alias_says_who_serves(models: Models, tmp_path: Path) -> None:
    """A registry may be older than its log: its champion is what a first candidate must have been compared with."""
    old = make_version(models, tmp_path)
    models.set_alias(CHAMPION, old)
    assert look(models).champion == old
    with pytest.raises(StepError, match="was compared with champion none, but the champion is 1 now"):
        approve(models, make_version(models, tmp_path), BOB)
    approve(models, make_version(models, tmp_path, compared_with="1"), BOB)
    assert champions(models) == (3, 1)


def test_aliases_that_change_for_ever_are_given_up_on(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_champions(models, tmp_path)
    models.set_alias(CHAMPION, 3)
    monkeypatch.setattr(Models, "set_alias", lambda *_: None)
    with pytest.raises(StepError, match=r"the aliases of ranker-.* keep changing: someone else writes to it"):
        settle(models, rounds=3)
