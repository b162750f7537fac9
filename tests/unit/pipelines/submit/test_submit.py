"""One submission is one run, whatever the network loses; judged by the published API, through the real client."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import StepError
from components.run_config import RunConfig
from pipelines.environment import Environment, Images, Service, load_environment
from pipelines.kubeflow import Kubeflow
from pipelines.submit import Submission, failure_of, follow, parameters, submit
from pipelines.training import training_pipeline
from tests.services.kfp_api import kfp_api
from tests.services.kfp_state import Fault, KfpState

IMAGES = Images(
    *(f"registry.example.com/mmctr/{kind}@sha256:{digit * 64}" for kind, digit in (("cpu", "a"), ("gpu", "b")))
)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Environment, KfpState]]:
    monkeypatch.setenv("HOME", str(tmp_path))  # kfp keeps settings there
    with kfp_api() as (address, state):
        environment = load_environment("dev")
        service = replace(environment.service, host=address, request_seconds=1)
        yield replace(environment, service=service, images=IMAGES), state


def connect(service: Service) -> Kubeflow:
    return Kubeflow(service, wait=lambda _: None)


def send(environment: Environment, name: str = "nightly-1") -> Submission:
    values = parameters(training_pipeline, environment, RunConfig("sample"))
    return submit(connect(environment.service), environment, training_pipeline, values, name)


def test_a_submission_uploads_a_version_and_starts_one_run(api: tuple[Environment, KfpState]) -> None:
    environment, state = api
    sent = send(environment)
    (run,) = state.runs.values()
    (version,) = state.versions.values()
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert version["name"] == sent.version
    assert run["runtime_config"]["parameters"]["shards"] == [0]
    assert run["service_account"] == environment.service.service_account
    assert sent.link == f"{environment.service.host}/#/runs/details/{run['run_id']}"
    assert sent.new_run
    assert sent.new_version


@pytest.mark.parametrize("fault", ["drop", "lose", "unavailable", "fail-after", "hang"])
@pytest.mark.parametrize("path", ["/runs$", "/pipelines$", "/upload_version$", "/experiments$"])
def test_a_lost_request_never_makes_two(api: tuple[Environment, KfpState], path: str, fault: Fault) -> None:
    environment, state = api
    state.inject("POST", path, fault)
    send(environment)
    assert not state.faults, "the fault was not met"
    assert [len(items) for items in (state.runs, state.pipelines, state.versions, state.experiments)] == [1, 1, 1, 1]


def test_the_same_name_again_is_the_same_run(api: tuple[Environment, KfpState]) -> None:
    environment, state = api
    first, again = send(environment), send(environment)
    assert (again.run_id, again.new_run, again.new_version) == (first.run_id, False, False)
    assert len(state.runs) == 1


def test_a_creation_that_was_slow_rather_than_lost_leaves_one_run_going(api: tuple[Environment, KfpState]) -> None:
    """The first request is dropped by a proxy, yet carried out after we looked for it: two runs, one is stopped."""
    environment, state = api
    create = state.create_run

    def twice(body: dict[str, object]) -> dict[str, object]:
        create(dict(body))
        return create(dict(body))

    state.create_run = twice  # type: ignore[method-assign]
    sent = send(environment)
    going = [run["run_id"] for run in state.runs.values() if run["state"] != "CANCELED"]
    assert going == [sent.run_id]
    assert len(state.runs) == 2


def test_a_changed_pipeline_is_a_new_version_of_the_same_pipeline(api: tuple[Environment, KfpState]) -> None:
    environment, state = api
    send(environment, "one")
    send(replace(environment, keep_days=environment.keep_days + 1), "two")
    assert len(state.pipelines) == 1
    assert len({version["name"] for version in state.versions.values()}) == 2


def test_versions_are_found_on_later_pages(api: tuple[Environment, KfpState]) -> None:
    environment, state = api
    state.page_size = 1
    for days in (1, 2, 3):
        send(replace(environment, keep_days=days), f"run-{days}")
    assert not send(replace(environment, keep_days=1), "again").new_version


@pytest.mark.parametrize("fault", ["drop", "unavailable"])
def test_a_server_that_stays_away_is_named_with_the_remedy(api: tuple[Environment, KfpState], fault: Fault) -> None:
    environment, state = api
    state.inject("GET", "/pipelines$", fault, times=100)
    with pytest.raises(StepError, match=r"gave no answer in 5 tries.*mmctr doctor"):
        send(environment)
    assert state.runs == {}


def test_a_refusal_carries_the_servers_words_and_is_not_tried_again(api: tuple[Environment, KfpState]) -> None:
    environment, state = api
    with pytest.raises(StepError, match=r"refused to start the run nightly-1: parameter 'config' is missing"):
        submit(connect(environment.service), environment, training_pipeline, {}, "nightly-1")
    assert state.requests.count("POST /apis/v2beta1/runs") == 1


def test_a_parameter_that_the_pipeline_lacks_is_refused_before_anything_is_sent() -> None:
    environment = load_environment("dev")
    with pytest.raises(StepError, match=r"no parameter 'colour'; it has config, "):
        parameters(training_pipeline, environment, RunConfig("sample"), colour="red")


@pytest.mark.parametrize(
    ("script", "final"),
    [
        (["PENDING", "RUNNING", "SUCCEEDED"], "SUCCEEDED"),
        (["PENDING", "RUNNING", "FAILED"], "FAILED"),
        (["PENDING", "RUNNING", "CANCELING", "CANCELED"], "CANCELED"),
    ],
    ids=["succeeds", "fails", "is stopped by someone"],
)
def test_following_tells_each_change_once(api: tuple[Environment, KfpState], script: list[str], final: str) -> None:
    environment, state = api
    state.script = script
    kubeflow, told = connect(environment.service), list[tuple[str, str]]()
    sent = send(environment)
    assert follow(kubeflow, sent.run_id, lambda *change: told.append(change), wait=lambda _: None) == final
    assert [change for step, change in told if step == "run"] == script[1:]
    assert len(told) == len(set(told))
    if final == "FAILED":
        assert failure_of(kubeflow.get_run(sent.run_id)) == "ingest: the data is not there"


def test_following_survives_lost_answers(api: tuple[Environment, KfpState]) -> None:
    environment, state = api
    sent = send(environment)
    state.inject("GET", f"/runs/{sent.run_id}$", "unavailable", times=3)
    assert follow(connect(environment.service), sent.run_id, lambda *_: None, wait=lambda _: None) == "SUCCEEDED"


def test_a_token_that_kubernetes_replaced_is_read_again(
    api: tuple[Environment, KfpState], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, state = api
    token = tmp_path / "token"
    token.write_text("of this morning")
    monkeypatch.setenv("MMCTR_KFP_TOKEN_FILE", str(token))
    state.token = "of this morning"
    kubeflow = connect(environment.service)
    kubeflow.may_list()
    state.token = "of noon"
    with pytest.raises(StepError, match="the token is expired"):
        kubeflow.may_list()
    token.write_text("of noon\n")
    kubeflow.may_list()


def test_a_token_file_that_is_not_there_is_named(
    api: tuple[Environment, KfpState], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCTR_KFP_TOKEN_FILE", "/nowhere/token")
    with pytest.raises(StepError, match=r"MMCTR_KFP_TOKEN_FILE = '/nowhere/token': no such file"):
        connect(api[0].service)


def test_links_open_in_a_browser(api: tuple[Environment, KfpState]) -> None:
    service = replace(api[0].service, public_url="https://kubeflow.example.com/")
    assert connect(service).link("runs", "7") == "https://kubeflow.example.com/#/runs/details/7"


def test_the_environment_says_where_a_training_computes(api: tuple[Environment, KfpState]) -> None:
    for training, launcher in (("step", "inline"), ("trainjob", "trainjob")):
        environment = replace(api[0], training=training)  # type: ignore[arg-type]
        values = parameters(training_pipeline, environment, RunConfig("sample"))
        assert json.loads(values["config"])["train"]["launcher"] == launcher
