"""Which candidates are one version: `mmctr.key` names what decides a candidate, and what it was compared with."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.dataset.lineage import Lineage
from components.errors import StepError
from components.register import package, step
from components.tracking.models import Models, Version
from components.tracking.pyfunc import KEY
from components.tracking.runs import TrackedRun
from components.tracking.server import NotAcceptedError, NotThereError
from components.tracking.tags import CHAIN, CHALLENGER, COMPARED_WITH, PARENT, STATUS
from model import checkpoint
from tests.services.candidate import Candidate, make_candidate, tiny_ranker


class CreatedError(Exception):
    pass


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One registry for all tests: to make one takes seconds."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(autouse=True)
def local_registry(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MMCTR_WORKSPACE", str(workspace))
    monkeypatch.setattr(package, "export", lambda _, path: path.write_bytes(b"program"))  # the slow part


@pytest.fixture
def key_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Candidate, str], str]:
    """The key with which a candidate would be made a version; nothing is exported or uploaded."""

    def create(*given: Any) -> Version:
        raise CreatedError(json.dumps(dict(given[3])))

    monkeypatch.setattr(step, "create", create)

    def key(candidate: Candidate, run: str = "run") -> str:
        with pytest.raises(CreatedError) as created:
            candidate.register(run, tmp_path / "registration")
        return str(json.loads(str(created.value))[KEY])

    return key


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def other_data(candidate: Candidate) -> Candidate:
    lineage = candidate.root / "lineage"
    replace(Lineage.read(lineage), data_md5="f" * 32).write(lineage)
    return candidate


def other_weights(candidate: Candidate) -> Candidate:
    ranker = tiny_ranker(1)
    ranker.item_encoder.id.weight.data[3, 0] += 1e-3
    checkpoint.save(candidate.root / "training" / "model.safetensors", ranker)
    return candidate


def other_embeddings(candidate: Candidate) -> Candidate:
    rewrite(candidate.root / "embeddings" / "manifest.json", item_info_sha256="d" * 64)
    return candidate


def other_config(candidate: Candidate) -> Candidate:
    return replace(candidate, config=replace(candidate.config, preset="other"))


def other_champion(candidate: Candidate) -> Candidate:
    rewrite(candidate.root / "champion" / "champion.json", version="7")
    return candidate


def other_files_of_a_run(candidate: Candidate) -> Candidate:
    """Seconds and cache hits of the embedding step, and a projection's last digits: nothing that decides scores."""
    rewrite(candidate.root / "embeddings" / "manifest.json", seconds=3.5)
    np.savez(candidate.root / "embeddings" / "projection.npz", mean=np.ones(8))
    return candidate


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param(other_weights, False, id="weights"),
        pytest.param(other_config, False, id="config"),
        pytest.param(other_data, False, id="data"),
        pytest.param(other_embeddings, False, id="embeddings"),
        pytest.param(other_champion, False, id="champion that it was compared with"),
        pytest.param(other_files_of_a_run, True, id="seconds of a step"),
        pytest.param(lambda candidate: candidate, True, id="nothing"),
    ],
)
def test_a_version_is_another_when_what_decides_it_differs(
    key_of: Callable[..., str], tmp_path: Path, change: Callable[[Candidate], Candidate], same: bool
) -> None:
    candidate = make_candidate(tmp_path / "made")
    first = key_of(candidate)
    assert (key_of(change(candidate), "another run") == first) is same


@pytest.mark.parametrize(("chain", "parent"), [(2, "3"), (0, "none")])
def test_a_version_names_the_champion_that_its_training_started_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chain: int, parent: str
) -> None:
    born: list[tuple[dict[str, str], str]] = []

    def create(made_in: Models, run: TrackedRun, _: Path, tags: dict[str, str], text: str) -> Version:
        born.append((tags, text))
        made_in.ensure("for the test")
        return made_in.version(made_in.create(f"{run.server.uri}/model", tags, text, run.run_id))

    monkeypatch.setattr(step, "create", create)
    make_candidate(tmp_path / "made", name=f"chain-{chain}", champion="3", chain=chain).register("run-1", tmp_path)
    ((tags, text),) = born
    assert (tags[PARENT], tags[CHAIN]) == (parent, str(chain))
    told = "Its training started from champion version 3; starts from a champion in a row: 2."
    assert (told in text) == (chain > 0)


def test_a_version_that_was_decided_about_is_not_made_the_challenger_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Models] = []

    def create(made_in: Models, run: TrackedRun, _: Path, tags: dict[str, str], *__: str) -> Version:
        models.append(made_in)
        made_in.ensure("for the test")
        return made_in.version(made_in.create(f"{run.server.uri}/model", tags, "", run.run_id))

    monkeypatch.setattr(step, "create", create)
    candidate = make_candidate(tmp_path / "made", name="decided")
    assert candidate.register("run-1", tmp_path / "first")["alias"] == CHALLENGER
    assert models[0].version(1).tags[COMPARED_WITH] == "none"
    models[0].delete_alias(CHALLENGER)
    assert candidate.register("run-2", tmp_path / "second")["alias"] == CHALLENGER, "a pending one waits again"
    models[0].delete_alias(CHALLENGER)
    models[0].set_tag(1, STATUS, "rejected")
    again = candidate.register("run-3", tmp_path / "third")
    assert (again["version"], again["alias"], again["validation_status"]) == ("1", None, "rejected")
    assert len(models) == 1


def test_a_candidate_that_failed_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="did not pass the gate"):
        make_candidate(tmp_path / "made", passed=False).register("run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("refusal", [NotThereError, NotAcceptedError])
def test_a_registration_that_was_overtaken_finds_the_other_and_otherwise_says_why_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: type[StepError]
) -> None:
    others: list[Callable[[Models, str], None]] = []

    def upload(run: TrackedRun, name: str, _: Path, key: str, __: Path) -> tuple[str, str]:
        for other in others:
            other(Models(run.server, name), key)
        raise refusal("what was uploaded is gone")

    monkeypatch.setattr(step, "upload", upload)
    candidate = make_candidate(tmp_path / "made", name=f"overtaken{refusal.__name__}")
    with pytest.raises(refusal, match="what was uploaded is gone"):
        candidate.register("run-1", tmp_path / "alone")

    def overtake(models: Models, key: str) -> None:
        models.ensure("for the test")
        models.create("a faster run's", {KEY: key, STATUS: "pending", COMPARED_WITH: "none"})

    others.append(overtake)
    assert candidate.register("run-2", tmp_path / "overtaken")["version"] == "1"
