"""The TrainJob launcher against a stand-in of the cluster API.

docs/explanation/training.md says what no real cluster has seen.
"""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiException

from components.errors import StepError
from components.harness import step
from components.run_config import RunConfig
from components.settings import to_dict
from components.tracking.ending import STEP
from components.tracking.runs import run_for
from components.train import trainjob, worker
from components.train.job import Job
from components.train.trainjob import run_trainjob
from tests.tiny_training import recipe, write_inputs, written_job
from tests.trainer_api import TrainerApi, trainer_api


@pytest.fixture
def job(tmp_path: Path) -> Job:
    config = recipe(launcher="trainjob", nodes=3)
    return written_job(write_inputs(tmp_path), config, tmp_path / "work")


@pytest.fixture
def api() -> Iterator[TrainerApi]:
    with trainer_api() as standing_in:
        yield standing_in


def run(job: Job, api: TrainerApi) -> list[tuple[int, dict[str, float]]]:
    reported: list[tuple[int, dict[str, float]]] = []
    run_trainjob(job, lambda step, metrics: reported.append((step, metrics)), api.backend(), poll_seconds=0.02)
    return reported


def script(api: TrainerApi, job: Job, end: str, finished: bool = True) -> None:
    """The pod runs at the third look, the job has ended at the sixth."""

    def polled() -> None:
        if api.polls == 3:
            api.phase = "Running"
            with job.metrics.open("a") as file:
                file.write(json.dumps({"step": 7, "metrics": {"train_loss": 0.5}}) + "\n")
        if api.polls == 6:
            api.status = end
            if finished:
                job.results.mkdir()

    api.polled = polled  # type: ignore[method-assign]


def name_of(job: Job) -> str:
    return f"mmctr-{job.key[:20]}"


def test_a_job_is_submitted_followed_and_finished(job: Job, api: TrainerApi, caplog: pytest.LogCaptureFixture) -> None:
    script(api, job, "Complete")
    api.logs = [["epoch 1", "epoch 2"]]
    with caplog.at_level("INFO"):
        assert run(job, api) == [(7, {"train_loss": 0.5})]
    spec: dict[str, Any] = api.jobs[name_of(job)]["spec"]
    assert spec == {
        "runtimeRef": {"name": "mmctr", "kind": "ClusterTrainingRuntime"},
        "trainer": {
            "numNodes": 3,
            "command": ["python", "-m", "components.train.pod", "--job", str(job.folder)],
        },
    }
    assert api.jobs[name_of(job)]["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "mmctr-training"}
    for line in ("epoch 1", "epoch 2", f"TrainJob {name_of(job)}: Complete"):
        assert line in caplog.text
    assert api.deleted == []


def test_a_failed_job_ends_with_its_pods_last_lines(job: Job, api: TrainerApi) -> None:
    script(api, job, "Failed", finished=False)
    api.logs = [[f"line {n}" for n in range(100)] + ["CUDA out of memory"]]
    with pytest.raises(StepError, match=r"(?s)failed:\nthe last lines of node-0:\nline 71\n.*\nCUDA out of memory$"):
        run(job, api)


LOST = f"ERROR {worker.LOST_CONTACT.format(minutes=15)}"


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        pytest.param(
            [[LOST, "torchrun"], ["ERROR no room", "ERROR no room", "torchrun"]], ["node-1: ERROR no room"], id="given"
        ),
        pytest.param(
            [[LOST, "torchrun"], ["MemoryError", "torchrun"]],
            [f"node-0: {LOST}", "the last lines of node-1:", "MemoryError", "torchrun"],
            id="a-crash",
        ),
        pytest.param(
            [[LOST, "exitcode -9"], [LOST, "exitcode 1"]],
            [f"node-0: {LOST}", f"node-1: {LOST}", "the last lines of node-0:", LOST, "exitcode -9"],
            id="all-lost-one",
        ),
    ],
)
def test_the_cause_comes_from_the_pod_that_knows_it(
    job: Job, api: TrainerApi, logs: list[list[str]], expected: list[str]
) -> None:
    script(api, job, "Failed", finished=False)
    api.logs = logs
    with pytest.raises(StepError) as failed:
        run(job, api)
    assert str(failed.value).splitlines()[1:] == expected


def test_a_reason_that_the_worker_gave_is_the_reason_of_the_step(job: Job, api: TrainerApi) -> None:
    script(api, job, "Failed", finished=False)
    before = api.polled

    def polled() -> None:
        before()
        (job.folder / "failure.json").write_text('{"message": "step 9: the loss is nan"}')

    api.polled = polled  # type: ignore[method-assign]
    with pytest.raises(StepError, match=r"^step 9: the loss is nan$"):
        run(job, api)


def test_a_completed_job_without_results_is_an_error_that_names_the_volume(job: Job, api: TrainerApi) -> None:
    script(api, job, "Complete", finished=False)
    with pytest.raises(StepError, match=r"is complete, but .*results is not there: mount the same volume"):
        run(job, api)


def test_a_cancelled_step_cancels_its_job(job: Job, api: TrainerApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started as the step does it: the harness turns SIGTERM into SystemExit and records it."""

    def polled() -> None:
        if api.polls == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    api.polled = polled  # type: ignore[method-assign]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{job.folder.parent}/mlflow.db")
    config = json.dumps(to_dict(RunConfig("sample")))
    with pytest.raises(SystemExit) as exit_, step("train", "nightly-1", config, str(job.folder / "out")):
        run(job, api)
    assert exit_.value.code == 128 + signal.SIGTERM
    assert api.deleted == [name_of(job)]
    assert run_for("nightly-1", "mmctr").tags()[STEP] == "train"


def test_a_retried_step_follows_the_job_that_runs(job: Job, api: TrainerApi) -> None:
    api.jobs[name_of(job)] = {"metadata": {"name": name_of(job)}, "spec": {"runtimeRef": {"name": "mmctr"}}}
    script(api, job, "Complete")
    run(job, api)
    assert api.deleted == []
    assert "trainer" not in api.jobs[name_of(job)]["spec"]


@pytest.mark.parametrize("status", ["Failed", "Complete"])
def test_an_earlier_job_without_results_is_replaced(job: Job, api: TrainerApi, status: str) -> None:
    """It failed, or its results were removed or lay on a volume that is gone: following it would wait for nothing."""
    api.jobs[name_of(job)] = {"metadata": {"name": name_of(job)}, "spec": {"runtimeRef": {"name": "mmctr"}}}
    api.status = status

    def polled() -> None:
        if api.deleted and api.polls > 3:
            api.status = "Complete"
            job.results.mkdir(exist_ok=True)

    api.polled = polled  # type: ignore[method-assign]
    run(job, api)
    assert api.deleted == [name_of(job)]
    assert api.jobs[name_of(job)]["spec"]["trainer"]["numNodes"] == 3


def test_a_refused_submission_says_what_the_server_said(job: Job, api: TrainerApi) -> None:
    api.refuse = True
    with pytest.raises(StepError, match=r"could not be submitted: .*trainjobs is forbidden"):
        run(job, api)


def test_a_job_belongs_to_the_runs_workflow_and_ends_with_the_steps_limit(
    job: Job, api: TrainerApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubeflow Trainer 2.3.0 fails a job after activeDeadlineSeconds: pkg/controller/trainjob_controller.go:156-174."""
    monkeypatch.setenv("KFP_POD_NAME", "step-pod")
    monkeypatch.setenv("MMCTR_STEP_MINUTES", "90")
    script(api, job, "Complete")
    run(job, api)
    (made,) = api.jobs.values()
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Workflow", "u-1")
    assert made["spec"]["activeDeadlineSeconds"] == 90 * 60


def test_an_api_server_that_is_replaced_does_not_end_the_training(
    job: Job, api: TrainerApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainjob, "PATIENCE", 0.001)
    script(api, job, "Complete")
    api.fail_reads = 5
    run(job, api)
    assert api.deleted == []


def test_a_reason_for_a_person_ends_the_job_before_it_is_restarted(job: Job, api: TrainerApi) -> None:
    def polled() -> None:
        if api.polls == 4:
            (job.folder / "failure.json").write_text('{"message": "step 9: the loss is nan"}')

    api.polled = polled  # type: ignore[method-assign]
    with pytest.raises(StepError, match=r"^step 9: the loss is nan$"):
        run(job, api)
    assert api.deleted == [name_of(job)]


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (None, "no such pod:  no such pod"),
        (ApiException(status=403, reason="Forbidden"), "no such pod: Forbidden (403)\nReason: Forbidden"),
    ],
)
def test_a_log_that_cannot_be_read_says_why(cause: Exception | None, told: str) -> None:
    class Client:
        def get_job_logs(self, *_: str, **__: str) -> list[str]:
            raise RuntimeError("no such pod") from cause

    assert trainjob._log_of(Client(), "job", "node-0") == [f"(its log can't be read: {told})"]
