"""What the anchor notices of a log that was removed, cut or rewritten, together with all tags and aliases."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import StepError
from components.packages.fetch import version_at
from components.review.decide import Reviewer, approve, inspect, rollback, survey
from components.review.settle import look, settle
from components.storage.objects import LocalStore
from components.tracking.anchor import ANCHOR_VARIABLE, Anchor, anchor_of, text_hash
from components.tracking.chain import TamperedError
from components.tracking.decisions import DECISION, Decision, append, log_of
from components.tracking.models import Models
from components.tracking.server import Server, connect
from components.tracking.tags import CHAMPION, PREVIOUS, STATUS
from tests.services.registry import KilledError, champions, with_champions

ADA = Reviewer("Ada", "better on cold items")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return connect(f"sqlite:///{tmp_path_factory.mktemp('anchor') / 'mlflow.db'}")


@pytest.fixture
def models(server: Server, tmp_path: Path) -> Models:
    """Version 2 approved after version 1, a void entry after that, and version 3 waiting."""
    made = Models(server, tmp_path.name)
    with_champions(made, tmp_path)
    append(made, look(made).book.decisions[2])  # sent twice by a retry: void
    settle(made)
    return made


def anchor(models: Models) -> Anchor:
    found = anchor_of(models.server, models.name)
    assert found is not None
    return found


def clean(models: Models) -> None:
    """Removes every trace of a decision from the model itself."""
    for alias in (CHAMPION, PREVIOUS):
        models.delete_alias(alias)
    for number in (1, 2):
        models.server.call("delete_model_version_tag", models.name, str(number), DECISION)
        models.set_tag(number, STATUS, "pending")


def wipe(models: Models) -> None:
    models.server.call("delete_registered_model", log_of(models).name)
    clean(models)


def cut(models: Models) -> None:
    clean(models)
    for number in (2, 3):
        log_of(models).delete(number)


def rewrite(number: int) -> Callable[[Models], None]:
    def change(models: Models) -> None:
        clean(models)
        text = json.loads(log_of(models).version(number).tags[DECISION])
        log_of(models).set_tag(number, DECISION, json.dumps({**text, "note": "as I was told"}, sort_keys=True))

    return change


def replace(models: Models) -> None:
    """Another log of the same length in its place."""
    wipe(models)
    for _ in range(3):
        append(models, evil())


def evil() -> Decision:
    return Decision("x", 0, "", "approve", 1, None, "Eve", "mine", "2026-11-20T05:00:00+00:00", {"package_sha256": "1"})


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        pytest.param(wipe, "its 3 entries are gone", id="log, tags and aliases removed"),
        pytest.param(cut, "decision 2 is missing", id="end cut off"),
        pytest.param(rewrite(2), "the text of decision 2 was changed", id="rewritten"),
        pytest.param(rewrite(3), "the text of decision 3 was changed", id="void entry rewritten"),
        pytest.param(replace, "the text of decision 1 was changed", id="log replaced"),
    ],
)
def test_every_command_that_reads_the_registry_stops_with_an_alarm(
    models: Models, tamper: Callable[[Models], None], words: str
) -> None:
    tamper(models)
    for command in (
        survey,
        settle,
        lambda m: inspect(m, 1),
        lambda m: approve(m, 3, ADA),
        lambda m: rollback(m, ADA),
        lambda m: version_at(m, CHAMPION),
    ):
        with pytest.raises(TamperedError, match=f"{words}, by what lies at {anchor(models).location}") as alarm:
            command(models)
        assert "\n" not in str(alarm.value)


def test_each_entry_is_one_object_with_its_text(models: Models) -> None:
    texts = {entry.number: entry.tags[DECISION] for entry in log_of(models).versions()}
    assert anchor(models).proofs() == [(number, text_hash(text)) for number, text in sorted(texts.items())]
    for number, text in texts.items():
        assert Path(anchor(models).location, f"{number}-{text_hash(text)}").read_text() == text


def test_a_kill_between_decision_and_anchor_is_mended(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> bool:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "create", die)
        with pytest.raises(KilledError):
            approve(models, 3, ADA)
    assert champions(models) == (2, 1)  # the decision takes effect when it is anchored
    assert version_at(models, CHAMPION) == models.version(3)  # for readers the log is right
    registry, mended = settle(models)
    assert mended[0] == f"the proof of decision 4 was missing at {anchor(models).location}: put there"
    assert champions(models) == (3, 2)
    assert registry.book.unanchored == {}
    assert [number for number, _ in anchor(models).proofs()] == [1, 2, 3, 4]


def test_an_account_that_may_not_write_the_anchor_can_still_read_the_registry(models: Models) -> None:
    append(models, look(models).book.decisions[2])
    folder = Path(anchor(models).location)
    kept = folder.rename(folder.with_name(f"{folder.name}-aside"))
    folder.write_text("a file, so that nothing can be created in it")
    assert survey(models)[1] == ["an earlier command did not finish; the next decision of a promoter mends it"]
    folder.unlink()
    kept.rename(folder)


def test_another_place_may_be_named(models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ANCHOR_VARIABLE, str(tmp_path / "audit"))
    with pytest.raises(StepError, match=f"{ANCHOR_VARIABLE} = .*audit: there is no such folder; make it"):
        look(models)
    (tmp_path / "audit").mkdir()
    _, mended = settle(models)
    assert mended == [f"the proof of decision 1, 2, 3 was missing at {tmp_path}/audit/{models.name}: put there"]


def test_a_server_has_no_anchor_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ANCHOR_VARIABLE, raising=False)
    assert anchor_of(Server("https://mlflow.example.org", None), "mmctr") is None
    monkeypatch.setenv(ANCHOR_VARIABLE, "s3://audit/log")
    assert anchor_of(Server("https://mlflow.example.org", None), "mmctr").location == "s3://audit/log/mmctr"  # type: ignore[union-attr]
