"""Approve, reject and roll back on MLflow's SQLite store."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from components.errors import StepError
from components.packages.fetch import local_package, version_at
from components.packages.format import package_hash
from components.review.decide import DecisionResult, Reviewer, approve, inspect, reject, rollback
from components.review.settle import look, settle
from components.tracking.anchor import anchor_of
from components.tracking.chain import TamperedError
from components.tracking.decisions import DECISION, log_of
from components.tracking.models import PACKAGE, Models
from components.tracking.tags import CHAMPION, GATE, PACKAGE_HASH, PREVIOUS, STATUS
from tests.services.registry import champions, make_version, with_champions

ADA, BOB = Reviewer("Ada", "better on cold items"), Reviewer("Bob", "as agreed")


def test_the_first_model_is_approved(models: Models, tmp_path: Path) -> None:
    number = make_version(models, tmp_path)
    outcome = approve(models, number, ADA)
    assert (outcome.champion, outcome.previous) == (1, None)
    assert models.aliases() == {CHAMPION: 1}  # no challenger any more
    assert models.version(1).tags[STATUS] == "approved"


def test_approving_keeps_the_previous_champion_and_rollback_returns_to_it(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    assert champions(models) == (2, 1)
    assert rollback(models, BOB).sentence == "Bob rolled back to version 1: as agreed."
    assert champions(models) == (1, 2)
    assert models.version(2).tags[STATUS] == "rolled_back"
    with pytest.raises(StepError, match=r"version 1 is back in service already, by decision 3 \(Bob rolled back"):
        rollback(models, ADA)
    rollback(models, BOB, forward=True)
    assert champions(models) == (2, 1)
    with pytest.raises(StepError, match="--forward undoes a rollback, and the last change"):
        rollback(models, BOB, forward=True)


def test_rejecting_leaves_the_champion(models: Models, tmp_path: Path) -> None:
    waiting = with_champions(models, tmp_path)
    reject(models, waiting, BOB)
    assert models.aliases() == {CHAMPION: 2, PREVIOUS: 1}
    assert models.version(waiting).tags[STATUS] == "rejected"
    with pytest.raises(StepError, match="version 3 can't be approved, it is rejected: Bob rejected"):
        approve(models, waiting, ADA)


@pytest.mark.parametrize("decide", [approve, reject], ids=["approve", "reject"])
def test_deciding_the_same_twice_is_deciding_once(
    models: Models, tmp_path: Path, decide: Callable[[Models, int, Reviewer], DecisionResult]
) -> None:
    number = make_version(models, tmp_path)
    decide(models, number, ADA)
    assert "already, by decision 1 (Ada" in decide(models, number, BOB).sentence
    assert len(log_of(models).versions()) == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param({"compared_with": "1"}, "was compared with champion 1, but the champion is 2 now", id="champion"),
        pytest.param({GATE: "fail"}, "did not pass the gate", id="gate"),
        pytest.param({GATE: None}, "did not pass the gate", id="no gate"),
        pytest.param({"passed": None}, "the verdict in its package is not a pass", id="no verdict"),
        pytest.param({"passed": False}, "the verdict in its package is not a pass", id="verdict"),
        pytest.param({PACKAGE_HASH: "0" * 64}, "are not the ones that were registered", id="hash"),
        pytest.param({STATUS: "unheard of"}, "it is unheard of", id="status"),
    ],
)
def test_approval_is_refused(models: Models, tmp_path: Path, options: dict[str, Any], why: str) -> None:
    with_champions(models, tmp_path)
    waiting = make_version(models, tmp_path, **{"compared_with": "2", **options})
    with pytest.raises(StepError, match=why):
        approve(models, waiting, ADA)
    assert champions(models) == (2, 1)
    assert len(log_of(models).versions()) == 2


def test_there_is_nothing_to_go_back_to(models: Models, tmp_path: Path) -> None:
    approve(models, make_version(models, tmp_path), ADA)
    with pytest.raises(StepError, match="no previous champion to go back to"):
        rollback(models, ADA)


def test_an_unknown_version_is_named(models: Models, tmp_path: Path) -> None:
    make_version(models, tmp_path)
    with pytest.raises(StepError, match="has no version 9; there is: 1"):
        approve(models, 9, ADA)


@pytest.mark.parametrize(("by", "note", "field"), [("", "x", "--by"), ("Ada", " ", "--note")])
def test_a_decision_has_an_author_and_a_reason(by: str, note: str, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is empty"):
        Reviewer(by, note)


def test_inspect_shows_what_was_decided(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    seen = inspect(models, 1)
    assert seen["verdict"] == {"passed": True}
    assert [d.by for d in seen["decisions"].values()] == ["Ada", "Ada"]


def test_an_alias_moved_by_hand_is_put_back_and_told(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    models.set_alias(CHAMPION, 3)
    _, mended = settle(models)
    assert mended == ["champion stood at version 3 and is at version 2 now, as decision 2 says"]
    assert champions(models) == (2, 1)


def forget_the_anchor(models: Models) -> None:
    """Leaves what the registry itself can notice."""
    anchor = anchor_of(models.server, models.name)
    assert anchor is not None
    shutil.rmtree(anchor.location)


def test_a_log_without_its_last_entries_is_noticed(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    forget_the_anchor(models)
    log_of(models).delete(2)
    with pytest.raises(TamperedError, match=r"version [12] was reviewed in decision 2, which is gone or changed"):
        look(models)


def test_the_last_decision_cannot_be_changed_either(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    forget_the_anchor(models)
    log = log_of(models)
    log.set_tag(2, DECISION, log.version(2).tags[DECISION].replace("Ada", "Eve"))
    with pytest.raises(TamperedError, match="reviewed in decision 2"):
        approve(models, 3, BOB)


def stored(models: Models, number: int) -> Path:
    """Where the SQLite registry keeps the files of a version."""
    return Path(models.server.call("get_model_version_download_uri", models.name, str(number)).removeprefix("file://"))


@pytest.mark.parametrize("file", ["serving_model.py", "MLmodel", "requirements.txt", f"{PACKAGE}/ranker.pt2"])
def test_any_file_that_changed_after_registration_is_noticed(models: Models, tmp_path: Path, file: str) -> None:
    number = make_version(models, tmp_path / file.replace("/", "-"))
    (stored(models, number) / file).write_text("import os")
    with pytest.raises(StepError, match=f"the files of {models.name} version {number} are not the ones"):
        approve(models, number, ADA)
    assert log_of(models).versions() == []


def test_weights_and_hash_swapped_together_after_approval_are_noticed(models: Models, tmp_path: Path) -> None:
    approve(models, make_version(models, tmp_path / "own"), ADA)
    approved = models.version(1).tags[PACKAGE_HASH]
    (stored(models, 1) / PACKAGE / "ranker.safetensors").write_text("other weights")
    models.set_tag(1, PACKAGE_HASH, package_hash(stored(models, 1)))
    with pytest.raises(StepError, match="are not the ones that were registered or approved"):
        local_package(models, models.version(1), tmp_path / "cache")
    _, mended = settle(models)
    assert "version 1 bore another hash than its approved files have: put back" in mended
    assert models.version(1).tags[PACKAGE_HASH] == approved


def test_processes_that_need_the_same_package_fetch_it_once(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share a folder: whoever comes later must wait for the first, and not put its own copy in the same place."""
    number = make_version(models, tmp_path / "fetched")
    fetched, both = [], threading.Barrier(2)
    download = Models.download

    def slow(self: Models, number: int, out: Path) -> Path:
        fetched.append(number)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return download(self, number, out)

    monkeypatch.setattr(Models, "download", slow)
    version = models.version(number)
    with ThreadPoolExecutor(2) as pool:
        packages = [pool.submit(local_package, models, version, tmp_path / "cache") for _ in range(2)]
    assert len({package.result() for package in packages}) == 1
    assert fetched == [number]


def test_a_rollback_to_files_that_changed_is_refused(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path / "own")
    (stored(models, 1) / PACKAGE / "ranker.safetensors").write_text("other weights")
    with pytest.raises(StepError, match="version 1 are not the ones"):
        rollback(models, BOB)
    assert champions(models) == (2, 1)


def test_the_log_is_right_where_the_alias_is_not(models: Models, tmp_path: Path) -> None:
    with_champions(models, tmp_path)
    models.set_alias(CHAMPION, 3)
    found = version_at(models, CHAMPION)
    assert found is not None
    assert found.number == 2
