"""One run for one pipeline run, on MLflow's own SQLite store."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.dataset.lineage import Lineage
from components.errors import StepError
from components.tracking.inputs import log_data
from components.tracking.runs import PIPELINE_RUN, nested_run, run_for
from components.tracking.server import AlreadyThereError, Server, connect, tracking_uri


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return connect(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")


def test_every_step_of_a_pipeline_run_gets_the_same_run(server: Server) -> None:
    first, second = run_for("nightly-1", "ctr", server), run_for("nightly-1", "ctr", server)
    assert first.run_id == second.run_id
    assert run_for("nightly-2", "ctr", server).run_id != first.run_id


def test_the_run_that_kubeflow_made_is_used_by_all_steps_and_not_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubeflow Pipelines 2.17.0 nests a run for each task: backend/src/v2/common/plugins/mlflow/handler.go:136-143."""
    whole = run_for("of-the-backend", "ctr", server)
    steps = [nested_run(whole, "ingest"), nested_run(nested_run(whole, "steps"), "train")]
    count = len(server.call("search_runs", ["1"]))
    for step in steps:
        monkeypatch.setenv("MLFLOW_RUN_ID", step.run_id)
        run = run_for("another-name", "another-experiment", server)
        assert run.run_id == whole.run_id
        run.finish("FAILED")
    kept = server.call("get_run", whole.run_id)
    assert kept.data.tags[PIPELINE_RUN] == "another-name"
    assert kept.info.status == "RUNNING"
    assert len(server.call("search_runs", ["1"])) == count


def test_logging_twice_is_logging_once(server: Server, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>good</p>")
    for attempt in range(2):
        run = run_for("repeated", "ctr", server)
        run.log_params({"train.batch_size": 128, "train.widths": (3, 2), "preset": "best"})
        for step in range(attempt + 2):  # the second attempt repeats the first's steps and goes on
            run.log_curve(step, {"valid_auc": 0.5 + step / 10})
        run.log_files([tmp_path / "report.html"], "decision")
        run.set_tags({"verdict": "passed"})
    found = server.call("get_run", run.run_id)
    assert found.data.params == {"train.batch_size": "128", "train.widths": "[3, 2]", "preset": "best"}
    assert [m.step for m in server.call("get_metric_history", run.run_id, "valid_auc")] == [0, 1, 2]
    assert run.tags()["verdict"] == "passed"
    assert [f.path for f in server.call("list_artifacts", run.run_id, "decision")] == ["decision/report.html"]


def test_a_config_that_changed_under_the_same_run_is_refused(server: Server) -> None:
    run_for("changed", "ctr", server).log_params({"seed": 1})
    with pytest.raises(StepError, match=r"did not accept 'log batch'.*seed"):
        run_for("changed", "ctr", server).log_params({"seed": 2})


def test_two_steps_that_both_made_a_run_agree_on_the_oldest(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    winner = run_for("raced", "ctr", server)
    from components.tracking import runs

    real, blind = runs._find, iter([None])
    monkeypatch.setattr(runs, "_find", lambda *args: next(blind, real(*args)))
    assert run_for("raced", "ctr", server).run_id == winner.run_id
    assert len(server.call("search_runs", [winner.experiment_id], f"tags.`{PIPELINE_RUN}` = 'raced'")) == 1


def test_a_number_that_changed_replaces_the_old_one(server: Server) -> None:
    run = run_for("measured-again", "ctr", server)
    run.log_metrics({"evaluate/auc": 0.5})
    run_for("measured-again", "ctr", server).log_metrics({"evaluate/auc": 0.6})
    assert server.call("get_run", run.run_id).data.metrics == {"evaluate/auc": 0.6}


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_finish_closes_the_run(server: Server, status: Any) -> None:
    run = run_for(f"finished-{status}", "ctr", server)
    run.finish(status)
    assert server.call("get_run", run.run_id).info.status == status
    assert run.run_id in run.url()


@pytest.mark.parametrize("name", ["", "it's"])
def test_names_that_could_not_be_found_again_are_refused(server: Server, name: str) -> None:
    with pytest.raises(StepError, match="must be a name"):
        run_for(name, "ctr", server)


def test_a_deleted_experiment_is_named(server: Server) -> None:
    made = server.call("create_experiment", "gone")
    server.call("delete_experiment", made)
    with pytest.raises(StepError, match="'gone' was deleted: restore it"):
        run_for("any", "gone", server)


def test_the_server_is_chosen_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MMCTR_WORKSPACE", str(tmp_path / "here"))
    assert tracking_uri() == f"sqlite:///{tmp_path / 'here' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri() == "http://mlflow:5000"


def test_what_is_there_already_has_its_own_error(server: Server) -> None:
    run_for("any", "twice", server)
    with pytest.raises(AlreadyThereError):
        server.call("create_experiment", "twice")


def test_the_data_of_a_run_are_listed_once(server: Server) -> None:
    files = {f"{split}.parquet": {"md5": split * 6, "size": 5} for split in ("train", "valid")}
    lineage = Lineage(
        "https://git.example.org/a.git", "main", "c" * 40, "b" * 32, files, 9, "", None, False, None, None
    )
    for _ in range(2):
        log_data(run_for("with-data", "ctr", server), lineage)
    inputs = server.call("get_run", run_for("with-data", "ctr", server).run_id).inputs.dataset_inputs
    found = {i.dataset.name: (i.dataset.digest, i.dataset.source_type, i.tags[0].value) for i in inputs}
    assert found == {
        "train.parquet": ("traintraintraintraintraintrain", "dvc", "training"),
        "valid.parquet": ("validvalidvalidvalidvalidvalid", "dvc", "validation"),
    }
    assert len(inputs) == 2
    assert json.loads(inputs[0].dataset.source)["commit"] == "c" * 40
