"""register when the server fails or the process is killed, at every step: one whole version, never half of one."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components import network
from components.errors import StepError
from components.packages.format import package_hash
from components.register import step as room
from components.register.package import build_package
from components.settings import to_dict
from components.tracking.models import Models
from components.tracking.pyfunc import KEY
from components.tracking.runs import TrackedRun, run_for
from components.tracking.server import Server, connect
from components.tracking.tags import CHALLENGER, FACTS, PACKAGE_HASH
from tests.services.candidate import Candidate, make_candidate
from tests.services.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.services.mlflow import MlflowServer
from tests.services.registry import DyingServer, KilledError

pytestmark = pytest.mark.integration

GIVEN_UP_AFTER = 5  # seconds
STEPS = {  # each request of register that changes something on the server
    "experiment": "POST .*/experiments/create",
    "run": "POST .*/runs/create",
    "logged model": "POST .*/logged-models$",
    "upload": "PUT .*/mlflow-artifacts/.*ranker.pt2",
    "upload's end": "PATCH .*/logged-models/",
    "registered model": "POST .*/registered-models/create",
    "version": "POST .*/model-versions/create",
    "alias": "POST .*/registered-models/alias",
    "run's tags": "POST .*/runs/log-batch",
}


@pytest.fixture(scope="module")
def proxy(mlflow_on_sqlite: MlflowServer) -> Iterator[FaultyProxy]:
    with faulty_proxy(mlflow_on_sqlite.uri) as running:
        yield running


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    candidate = make_candidate(folder / "candidate")
    build_package(candidate.made, to_dict(candidate.config), folder / "package")
    return folder / "package"


@pytest.fixture(autouse=True)
def built_already(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes seconds and speaks to no server."""

    def copy(*arguments: Any) -> str:
        shutil.copytree(package, arguments[-1])
        return package_hash(package)

    monkeypatch.setattr(room, "build_package", copy)
    for variable, value in (("MAX_RETRIES", "2"), ("BACKOFF_FACTOR", "0"), ("BACKOFF_JITTER", "0")):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{variable}", value)


@pytest.fixture
def candidate(tmp_path: Path, request: pytest.FixtureRequest) -> Candidate:
    """Of a model and an experiment of its own, so that every step has something to make."""
    return make_candidate(tmp_path / "candidate", name="".join(filter(str.isalnum, request.node.name)))


def assert_whole(models: Models) -> None:
    (version,) = models.versions()
    assert {KEY, PACKAGE_HASH, FACTS, "validation_status"} <= set(version.tags)
    assert models.aliases() == {CHALLENGER: version.number}


def assert_not_half(models: Models, scratch: Path) -> None:
    """No version, or one whose tags and files are all there."""
    for version in models.versions():
        assert {KEY, PACKAGE_HASH, FACTS, "validation_status"} <= set(version.tags)
        downloaded = models.download(version.number, scratch)
        assert package_hash(downloaded) == version.tags[PACKAGE_HASH]


@pytest.mark.parametrize(
    ("step", "fault"),
    [(step, fault) for step in STEPS for fault in ("500", "lost-answer")]
    + [(step, fault) for step in ("upload", "version") for fault in ("slow", "lost-request")],
)
def test_after_a_fault_the_version_is_whole_or_the_error_is_one_line(
    step: str, fault: Fault, proxy: FaultyProxy, candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
    models = Models(connect(proxy.uri), candidate.config.registered_name)
    proxy.heal()
    proxy.fail(STEPS[step], fault, times=-1 if fault == "500" else 1, seconds=GIVEN_UP_AFTER + 1)
    if fault == "slow":  # the other requests of a busy machine get all the time that they need
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(GIVEN_UP_AFTER))
    if fault == "500":  # for good
        with pytest.raises(StepError, match="run the same command once more"):
            candidate.register("a-run", tmp_path / "registration")
        assert not (tmp_path / "registration" / "registration.json").exists()
        proxy.heal()
        assert_not_half(models, tmp_path / "downloaded")
    candidate.register("a-run", tmp_path / "registration")
    proxy.heal()
    if fault == "slow":  # a request that arrives after its retry makes a twin, until the next run
        assert_not_half(models, tmp_path / "downloaded")
    else:
        assert_whole(models)
    candidate.register("a-run", tmp_path / "again")
    assert_whole(models)


def test_a_server_that_is_down_is_one_clear_line(
    candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(network, "STEP_PATIENCE", 0.0)
    with pytest.raises(StepError, match=r"MLflow at http://127.0.0.1:9 does not answer .*set MLFLOW_TRACKING_URI"):
        candidate.register("a-run", tmp_path / "registration")


def test_the_slower_of_two_equal_runs_finds_the_version_of_the_faster_one(
    mlflow_on_sqlite: MlflowServer, candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faster one deletes what the slower one has uploaded, and the server then refuses a version made of that."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_on_sqlite.uri)
    create, others = Models.create, [lambda: candidate.register("the faster run", tmp_path / "faster")]

    def overtaken(self: Models, *arguments: Any) -> int:
        if others:
            others.pop()()
        return create(self, *arguments)

    monkeypatch.setattr(Models, "create", overtaken)
    registration = candidate.register("the slower run", tmp_path / "slower")
    assert (registration["version"], registration["new"]) == ("1", False)
    assert_whole(Models(connect(mlflow_on_sqlite.uri), candidate.config.registered_name))


def test_a_kill_after_any_call_is_finished_by_the_next_run(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = connect(f"sqlite:///{tmp_path_factory.mktemp('killed') / 'mlflow.db'}")
    point, survived, run_with = 0, False, run_for_on(monkeypatch)
    while not survived:
        candidate = make_candidate(tmp_path / f"candidate-{point}", name=f"killed{point}")
        models, dying = Models(server, f"killed{point}"), DyingServer(server.uri, server.client, at=point)
        try:
            run_with(dying)
            candidate.register("a-run", tmp_path / "registration")
            survived = True
        except KilledError:
            point += 1
            assert_not_half(models, tmp_path / f"downloaded-{point}")
        run_with(server)
        candidate.register("a-run", tmp_path / "registration")
        assert_whole(models)
        experiment = server.call("get_experiment_by_name", models.name).experiment_id
        ready = server.call("search_logged_models", [experiment])
        assert [str(found.status) for found in ready] == ["READY"], dying.calls
    assert point > 10


def run_for_on(patch: pytest.MonkeyPatch) -> Callable[[Server], None]:
    def use(server: Server) -> None:
        def opened(pipeline_run: str, experiment: str) -> TrackedRun:
            return run_for(pipeline_run, experiment, server)

        patch.setattr(room, "run_for", opened)

    return use
