"""The two jobs that look at MLflow: one moves serving to a new champion, the other fails after a failed night."""

import copy
import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kubernetes.client import ApiException, CustomObjectsApi

from components.errors import StepError
from components.tracking.ending import concluded
from components.tracking.models import Models
from components.tracking.runs import run_for
from components.tracking.server import connect
from components.tracking.tags import CHAMPION
from infra.check.build import K8S, build
from tests.services.kubernetes_api import KubernetesApi, kubernetes_api
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


PATH = "/apis/serving.kserve.io/v1beta1/namespaces/mmctr-prod/inferenceservices/mmctr"


class Serving:
    """The InferenceService of production behind a server that takes patches as the API server does."""

    def __init__(self, cluster: KubernetesApi) -> None:
        (made,) = [m for m in build(K8S / "overlays/prod") if m["kind"] == "InferenceService"]
        made["metadata"]["resourceVersion"] = "1"
        cluster.objects[PATH] = made
        self.cluster = cluster
        self.api = CustomObjectsApi(cluster.client())

    @property
    def changes(self) -> int:
        return int(self.cluster.objects[PATH]["metadata"]["resourceVersion"]) - 1

    def version(self) -> str:
        (container,) = self.cluster.objects[PATH]["spec"]["predictor"]["containers"]
        values = {variable["name"]: variable.get("value", "") for variable in container["env"]}
        (option,) = [word for word in container["command"] if word.startswith("--version=")]
        return str(option.replace("$(MODEL_VERSION)", values["MODEL_VERSION"])).removeprefix("--version=")


@pytest.fixture
def serving() -> Iterator[Serving]:
    with kubernetes_api() as cluster:
        yield Serving(cluster)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """Two versions, none of them approved."""
    registry = Models(connect(f"sqlite:///{tmp_path / 'mlflow.db'}"), "mmctr")
    for number in ("first", "second"):
        make_version(registry, tmp_path / number)
    return registry


def test_serving_follows_the_champion_there_and_back(models: Models, serving: Serving) -> None:
    """The Python client sends custom objects' patches as merge patches alone, and a list is no merge patch."""
    before = copy.deepcopy(serving.cluster.objects[PATH]["spec"])
    for champion, served in ((None, "0"), (1, "1"), (1, "1"), (2, "2"), (1, "1")):
        if champion is not None:
            models.set_alias(CHAMPION, champion)
        rollout.roll(serving.api, "mmctr", "mmctr-prod", models)
        assert serving.version() == served
    assert serving.changes == 3, "the same version twice is one change"
    after = serving.cluster.objects[PATH]["spec"]
    (container,) = after["predictor"]["containers"]
    next(variable for variable in container["env"] if variable["name"] == "MODEL_VERSION")["value"] = "0"
    assert after == before


def test_serving_is_not_changed_over_somebody_elses_change(
    models: Models, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.set_alias(CHAMPION, 1)
    fetch = rollout.fetch_package

    def meanwhile(*arguments: Any) -> None:
        fetch(*arguments)
        serving.cluster.objects[PATH]["metadata"]["resourceVersion"] = "2"

    monkeypatch.setattr(rollout, "fetch_package", meanwhile)
    with pytest.raises(ApiException, match="Conflict"):
        rollout.roll(serving.api, "mmctr", "mmctr-prod", models)
    assert serving.version() == "0"


def test_serving_stays_where_it_is_when_files_were_changed_after_the_approval(models: Models, serving: Serving) -> None:
    models.set_alias(CHAMPION, 1)
    source = models.server.call("get_model_version_download_uri", "mmctr", "1")
    next(Path(source.removeprefix("file://")).rglob("serving_model.py")).write_text("print('not approved')\n")
    with pytest.raises(StepError, match="version 1 are not the ones that were registered or approved"):
        rollout.roll(serving.api, "mmctr", "mmctr-prod", models)
    assert serving.changes == 0


@pytest.mark.parametrize(
    ("tags", "status", "message"),
    [
        (None, 1, "no run began in the last 26 hours"),
        ({"status": "RUNNING"}, 0, "still going"),
        ({"status": "KILLED"}, 1, "ended without an outcome"),
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
