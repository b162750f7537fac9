"""What a step hands to the next one: read as it was written, or refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.artifacts import Artifacts, hand_over, receive
from components.dataset.packing import take_images_apart, with_images
from components.errors import StepError
from components.harness import step
from components.settings import to_dict
from pipelines.presets import preset


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "metrics.json").write_text('{"auc": 0.61}')
    hand_over(folder)
    return folder


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a digit": (lambda f: (f / "metrics.json").write_text('{"auc": 0.91}'), "metrics.json is not what was written"),
    "a file less": (lambda f: (f / "metrics.json").unlink(), "metrics.json is missing"),
    "a file more": (lambda f: (f / "verdict.json").write_text("{}"), "verdict.json does not belong to it"),
    "no digests": (lambda f: (f / "digests.json").unlink(), "digests.json is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_artifact_is_refused_and_left_where_it_is(evaluation: Path, damage: str) -> None:
    assert receive(str(evaluation)) == evaluation
    do, words = DAMAGES[damage]
    do(evaluation)
    with pytest.raises(StepError, match=f"evaluation is not what the step before wrote .{words}.: run the pipeline"):
        Artifacts.of(evaluation=SimpleNamespace(path=str(evaluation)))
    assert evaluation.is_dir()


def test_a_step_hands_over_what_it_made_unless_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    config = json.dumps(to_dict(preset("sample")))
    with step("gate", "a-run", config, str(tmp_path / "decision")) as this:
        (this.out / "verdict.json").write_text("{}")
    assert receive(str(tmp_path / "decision"))
    with pytest.raises(SystemExit), step("gate", "a-run", config, str(tmp_path / "failed")):
        raise StepError("no verdict")
    with pytest.raises(StepError, match=r"digests.json is missing"):
        receive(str(tmp_path / "failed"))


def test_tables_and_images_are_joined_without_the_digests_of_either(tmp_path: Path) -> None:
    dataset, images, store = (tmp_path / name for name in ("dataset", "images", "store"))
    dataset.mkdir()
    for file in ("train.parquet", "item_images-00000.tar"):
        (dataset / file).write_bytes(b"x")
    take_images_apart(dataset, images, store)
    hand_over(dataset)
    hand_over(images)
    with with_images(dataset, images, store) as whole:
        assert sorted(path.name for path in whole.iterdir()) == ["item_images-00000.tar", "train.parquet"]
