"""The two jobs that look at MLflow: serving follows the champion, and somebody hears of a bad night."""

import importlib.util
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from components.errors import StepError
from components.tracking.ending import concluded
from components.tracking.models import Models
from components.tracking.runs import run_for
from components.tracking.server import connect
from components.tracking.tags import CHAMPION
from infra.check.build import K8S, build
from tests.services.registry import make_version

BASE = Path(__file__).parents[3] / "infra/k8s/base"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BASE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rollout, night = script("rollout"), script("night")


class Serving:
    """One InferenceService, changed by JSON patches as the API server does."""

    def __init__(self) -> None:
        objects = build(K8S / "overlays/prod")
        self.service = next(m for m in objects if m["kind"] == "InferenceService")
        self.patches = 0

    def get_namespaced_custom_object(self, *_: str) -> dict[str, Any]:
        return self.service

    def patch_namespaced_custom_object(self, *arguments: Any) -> None:
        test, replace = arguments[-1]
        target: Any = self.service
        *parents, leaf = test["path"].strip("/").split("/")
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        assert (test["op"], target[leaf], replace["op"]) == ("test", test["value"], "replace")
        target[leaf] = replace["value"]
        self.patches += 1

    def model(self) -> str:
        container = self.service["spec"]["predictor"]["containers"][0]
        values = {variable["name"]: variable.get("value", "") for variable in container["env"]}
        uri = next(word for word in container["command"] if word.startswith("--model-uri="))
        return str(uri.replace("$(MODEL_VERSION)", values["MODEL_VERSION"]))


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """Two versions, none of them approved."""
    registry = Models(connect(f"sqlite:///{tmp_path / 'mlflow.db'}"), "mmctr")
    for number in ("first", "second"):
        make_version(registry, tmp_path / number)
    return registry


def test_serving_follows_the_champion_there_and_back(models: Models) -> None:
    serving = Serving()
    for champion, served in ((None, "0"), (1, "1"), (1, "1"), (2, "2"), (1, "1")):
        if champion is not None:
            models.set_alias(CHAMPION, champion)
        rollout.roll(serving, "mmctr", "mmctr-prod", models)
        assert serving.model() == f"--model-uri=models:/mmctr/{served}"
    assert serving.patches == 3, "the same version twice is one change"


def test_serving_stays_where_it_is_when_files_were_changed_after_the_approval(models: Models) -> None:
    serving = Serving()
    models.set_alias(CHAMPION, 1)
    source = models.server.call("get_model_version_download_uri", "mmctr", "1")
    next(Path(source.removeprefix("file://")).rglob("serving_model.py")).write_text("print('not approved')\n")
    with pytest.raises(StepError, match="version 1 are not the ones that were registered or approved"):
        rollout.roll(serving, "mmctr", "mmctr-prod", models)
    assert serving.patches == 0


@pytest.mark.parametrize(
    ("tags", "status", "message"),
    [
        (None, 1, "no run began in the last 26 hours"),
        ({}, 1, "has no outcome yet"),
        ({"mmctr.outcome": "skipped"}, 0, "skipped"),
        ({"mmctr.outcome": "registered"}, 0, "registered"),
        (
            {"mmctr.outcome": "failed", "mmctr.failed_step": "train", "mmctr.failure": "the loss is nan"},
            1,
            "failed in train: the loss is nan",
        ),
        ({"mmctr.outcome": "killed"}, 1, "killed in no step"),
    ],
)
def test_a_bad_night_fails_the_job(tags: dict[str, str] | None, status: int, message: str) -> None:
    code, said = night.judge(tags, 26.0)
    assert (code, message in said) == (status, True), said


def test_the_newest_run_of_the_night_is_found(tmp_path: Path) -> None:
    server, start = connect(f"sqlite:///{tmp_path}/mlflow.db"), time.time() - 60
    assert night.newest(server, "mmctr", start) is None
    run_for("night-1", "mmctr", server).set_tags(concluded("skipped"))
    assert night.newest(server, "mmctr", start)["mmctr.outcome"] == "skipped"
    assert night.newest(server, "mmctr", start + 3600) is None
