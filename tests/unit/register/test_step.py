"""register on MLflow's SQLite store: what a new version has from its first moment, and that a second run finds it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import StepError
from components.fetch_champion.step import fetch_champion
from components.notify.step import notify, sentence
from components.packages.format import ENCODER, FILES, package_hash
from components.schema.fitted import FEATURES
from components.storage.files import read_json
from components.tracking.ending import concluded
from components.tracking.models import Models
from components.tracking.pyfunc import KEY
from components.tracking.runs import run_for, version_of
from components.tracking.server import connect
from components.tracking.tags import (
    CHALLENGER,
    CHAMPION,
    FACTS,
    GATE,
    IDENTITY,
    PACKAGE_HASH,
    STARTED_FROM,
    STATUS,
    facts_of,
)
from tests.services.candidate import Candidate, make_candidate


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(autouse=True)
def local_registry(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MMCTR_WORKSPACE", str(workspace))


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    return make_candidate(tmp_path_factory.mktemp("candidate") / "made")


@pytest.fixture
def first(candidate: Candidate, tmp_path: Path) -> dict[str, Any]:
    """Registered once; asking again is what these tests are about."""
    return candidate.register("run-1", tmp_path / "registration")


@pytest.fixture
def models() -> Iterator[Models]:
    registry = Models(connect(), "mmctr")
    yield registry
    for alias in set(registry.aliases()) - {CHALLENGER}:
        registry.delete_alias(alias)


def test_a_version_is_born_with_its_lineage(first: dict[str, Any], models: Models, tmp_path: Path) -> None:
    version = models.version(1)
    assert first["uri"] == "models:/mmctr/1"
    assert read_json(tmp_path / "registration" / "registration.json") == first
    assert models.aliases() == {CHALLENGER: 1}
    expected = {
        "mmctr.gate": "pass",
        "mmctr.compared_with": "none",
        "mmctr.parent": "none",
        "mmctr.chain": "0",
        "validation_status": "pending",
    }
    assert expected.items() <= version.tags.items()
    assert set(version.tags) == {*expected, FACTS, KEY, PACKAGE_HASH}
    facts = facts_of(version.tags)
    lineage = {"data_commit": "a" * 40, "data_md5": "b" * 32, "pipeline_run": "run-1", "image": "none: a local run"}
    assert lineage.items() <= facts.items()
    assert {"config_sha256", "embeddings_sha256", "code_commit", IDENTITY} <= set(facts)
    assert version_of(models.server, "run-1", "mmctr") == 1


@pytest.mark.parametrize(
    ("run", "name", "words"),
    [
        ("run-unheard-of", "mmctr", "MLflow knows no pipeline run 'run-unheard-of'"),
        ("run-stopped", "mmctr", "run-stopped registered no version: it did not pass the gate, or did not end"),
        ("run-1", "another", "run-1 registered version 1 of mmctr: --name mmctr"),
        ("it's", "mmctr", "must be a name without quotes"),
    ],
)
@pytest.mark.usefixtures("first")
def test_a_run_without_a_version_is_named(run: str, name: str, words: str) -> None:
    run_for("run-stopped", "mmctr")
    with pytest.raises(StepError, match=words):
        version_of(connect(), run, name)


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("status", "alias", "run", "words"),
    [
        ("pending", CHALLENGER, "run-1", "version 1 passed the gate and waits for review"),
        ("pending", CHALLENGER, "run-again", "made version 1, which waits for review, again; nothing new was"),
        ("approved", CHAMPION, "run-again", "made version 1, which is the champion, again; nothing new was registered"),
        ("approved", CHAMPION, "run-1", "made version 1, which is the champion, again; nothing new was registered"),
        ("rejected", None, "run-again", "made version 1, which is rejected, again; nothing new was registered"),
    ],
)
def test_the_message_of_a_night_says_what_the_version_is(
    candidate: Candidate, models: Models, status: str, alias: str | None, run: str, words: str, tmp_path: Path
) -> None:
    models.set_tag(1, STATUS, status)
    if alias != CHALLENGER:
        models.delete_alias(CHALLENGER)
    if alias == CHAMPION:
        models.set_alias(CHAMPION, 1)
    try:
        candidate.register(run, tmp_path / "again")
        run_for(run, "mmctr").set_tags(concluded("registered"))
        assert words in sentence(notify("mmctr", run, "COMPLETE"))
    finally:
        models.set_tag(1, STATUS, "pending")
        models.set_alias(CHALLENGER, 1)


def test_an_unchanged_pipeline_finds_its_version_again(
    candidate: Candidate, first: dict[str, Any], models: Models, tmp_path: Path
) -> None:
    manifest = candidate.root / "embeddings" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "seconds": 0.1}))  # what a warm cache changes
    again = candidate.register("run-2", tmp_path / "again")
    assert first["new"]
    assert again == {**first, "new": False}
    assert len(models.versions()) == 1


def test_the_champion_made_again_is_no_new_version(first: dict[str, Any], models: Models, tmp_path: Path) -> None:
    models.set_alias(CHAMPION, int(first["version"]))
    same = make_candidate(tmp_path / "same", champion="1")
    again = same.register("run-3", tmp_path / "again")
    assert (again["version"], again["alias"], again["new"]) == ("1", CHAMPION, False)


def test_a_champion_that_an_earlier_version_registered_is_recognised(
    first: dict[str, Any], models: Models, tmp_path: Path
) -> None:
    """It has a tag for each fact, and no tag of facts."""
    tags = models.version(int(first["version"])).tags
    older = {f"mmctr.{name}": value for name, value in facts_of(tags).items() if f"mmctr.{name}" not in tags}
    number = models.create("models:/mmctr/1", {**{k: v for k, v in tags.items() if k not in (FACTS, KEY)}, **older})
    try:
        models.set_alias(CHAMPION, number)
        again = make_candidate(tmp_path / "same", champion=str(number)).register("run-3", tmp_path / "again")
        assert (again["version"], again["alias"], again["new"]) == (str(number), CHAMPION, False)
    finally:
        models.delete(number)


def test_facts_that_cannot_be_read_are_named() -> None:
    for text in ("no json", "[1]"):
        with pytest.raises(StepError, match=r"tag mmctr\.facts of a version is no JSON object"):
            facts_of({FACTS: text})


@pytest.mark.usefixtures("first")
def test_two_equal_versions_that_a_retry_made_become_one(candidate: Candidate, models: Models, tmp_path: Path) -> None:
    version = models.version(1)
    twin = models.create("models:/mmctr/1", version.tags)
    assert len(models.versions(**{KEY: version.tags[KEY]})) == 2
    assert candidate.register("run-4", tmp_path / "again")["version"] == "1"
    assert twin not in [v.number for v in models.versions()]


@pytest.mark.usefixtures("first")
def test_the_champion_is_fetched_whole_and_checked(models: Models, tmp_path: Path) -> None:
    assert fetch_champion("mmctr", tmp_path / "before")["version"] is None
    assert [p.name for p in (tmp_path / "before").iterdir()] == ["champion.json"]
    models.set_alias(CHAMPION, 1)
    found = fetch_champion("mmctr", tmp_path / "after")
    assert found["version"] == "1"
    assert found["auc"] == pytest.approx(0.801)
    assert {path.name for path in (tmp_path / "after" / "package").iterdir()} == {*FILES, ENCODER, FEATURES}
    assert package_hash(models.download(1, tmp_path / "files")) == found["package_sha256"]
    assert read_json(tmp_path / "after" / "champion.json") == found


@pytest.mark.usefixtures("first")
def test_the_candidates_that_started_from_the_champion_and_were_refused_are_counted(
    models: Models, tmp_path: Path
) -> None:
    models.set_alias(CHAMPION, 1)
    for run, started_from, gate in (
        ("refused", "mmctr/1", "fail"),
        ("passed", "mmctr/1", "pass"),
        ("of-another", "mmctr/11", "fail"),
        ("from-scratch", "", "fail"),
    ):
        tags = {GATE: gate, **({STARTED_FROM: started_from} if started_from else {})}
        run_for(run, "mmctr").set_tags(tags)
    assert fetch_champion("mmctr", tmp_path / "champion")["refused_starts"] == 1


@pytest.mark.usefixtures("first")
def test_a_champion_whose_files_changed_is_refused(models: Models, tmp_path: Path) -> None:
    models.set_alias(CHAMPION, 1)
    digest = models.version(1).tags["mmctr.package_sha256"]
    models.set_tag(1, "mmctr.package_sha256", "0" * 64)
    with pytest.raises(StepError, match="are not the ones that were registered"):
        fetch_champion("mmctr", tmp_path / "champion")
    models.set_tag(1, "mmctr.package_sha256", digest)
    assert not (tmp_path / "champion" / "champion.json").exists()


def test_no_registry_yet_is_no_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCTR_WORKSPACE", str(tmp_path / "new"))
    assert fetch_champion("mmctr", tmp_path / "champion")["version"] is None
    assert not (tmp_path / "new").exists()  # asking made nothing


def test_a_candidate_that_failed_the_gate_is_not_registered(tmp_path: Path) -> None:
    failed = make_candidate(tmp_path / "failed", seed=2, passed=False)
    with pytest.raises(StepError, match="did not pass the gate"):
        failed.register("run-5", tmp_path / "registration")
