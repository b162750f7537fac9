"""`mmctr schedule apply`: applying a file twice changes nothing, and at every moment the schedule is there."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import StepError
from pipelines.environment import Environment, Images, load_environment
from pipelines.kubeflow import Kubeflow
from pipelines.schedule import apply as work
from pipelines.schedule.spec import Refresh, ScheduleSpec
from pipelines.training import training_pipeline
from tests.services.kfp_api import kfp_api
from tests.services.kfp_state import Fault, KfpState

SPEC = ScheduleSpec("nightly", "dev", "0 0 3 * * *", "sample")
IMAGES = Images(*(f"registry.example.com/{kind}@sha256:{'a' * 64}" for kind in ("cpu", "gpu")))
Cluster = tuple[Kubeflow, Environment, KfpState]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with kfp_api() as (address, state):
        environment = load_environment("dev")
        service = replace(environment.service, host=address, request_seconds=1)
        yield Kubeflow(service, wait=lambda _: None), replace(environment, service=service, images=IMAGES), state


def bring(cluster: Cluster, spec: ScheduleSpec = SPEC) -> list[str]:
    kubeflow, environment, _ = cluster
    return work.apply(kubeflow, work.prepare(kubeflow, environment, training_pipeline, spec))


def test_applying_twice_changes_nothing(cluster: Cluster) -> None:
    state = cluster[2]
    assert bring(cluster) == ["not on the cluster"]
    (first,) = state.schedules
    assert bring(cluster) == []
    assert list(state.schedules) == [first]


def test_the_recurring_run_is_what_the_file_says(cluster: Cluster) -> None:
    bring(cluster, replace(SPEC, revision="v7", retrain_above_drift=0.3, concurrency=2))
    (made,) = cluster[2].schedules.values()
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (made["mode"], made["no_catchup"], made["max_concurrency"]) == ("ENABLE", True, "2")
    assert made["service_account"] == "mmctr-trainer"
    parameters = made["runtime_config"]["parameters"]
    assert parameters["revision"] == "v7"
    assert parameters["skip_unchanged"] is True
    assert parameters["retrain_above_drift"] == 0.3
    assert made["description"].startswith("made by mmctr · at 03:00:00 UTC every day")


def test_a_refresh_policy_becomes_recurring_runs_on_the_cluster(cluster: Cluster) -> None:
    policy = replace(SPEC, refresh=Refresh(cold="weekly", warm="nightly", on_drift=0.2))
    for spec in policy.runs():
        assert bring(cluster, spec) == ["not on the cluster"]
        assert bring(cluster, spec) == []
    made = {run["display_name"]: run for run in cluster[2].schedules.values()}
    assert {name: run["trigger"]["cron_schedule"]["cron"] for name, run in made.items()} == {
        "nightly-cold": "0 0 3 * * SUN",
        "nightly-warm": "0 0 3 * * MON-SAT",
    }
    configs = {name: json.loads(run["runtime_config"]["parameters"]["config"]) for name, run in made.items()}
    assert configs["nightly-warm"]["train"]["start"] == "champion"
    assert configs["nightly-warm"]["train"]["cold_above_drift"] == 0.2
    assert configs["nightly-cold"]["train"]["start"] == "scratch"


@pytest.mark.parametrize(
    ("changes", "change"),
    [
        ({"cron": "0 0 4 * * *"}, "cron: 0 0 3 * * * -> 0 0 4 * * *"),
        ({"concurrency": 3}, "concurrency: 1 -> 3"),
        ({"revision": "v8"}, "parameters.revision: main -> v8"),
        ({"skip_unchanged": False}, "parameters.skip_unchanged: true -> false"),
        ({"catch_up": True, "revision": "main"}, "catch_up: false -> true"),
    ],
)
def test_a_changed_file_replaces_the_recurring_run(cluster: Cluster, changes: dict[str, object], change: str) -> None:
    state = cluster[2]
    bring(cluster)
    (before,) = state.schedules
    assert bring(cluster, replace(SPEC, **changes)) == [change]  # type: ignore[arg-type]
    (after,) = state.schedules
    assert after != before


def test_at_every_moment_a_schedule_is_there(cluster: Cluster) -> None:
    """Whatever the moment of a kill: the creation stands before the deletion in the server's log."""
    kubeflow, _, state = cluster
    bring(cluster)
    state.requests.clear()
    bring(cluster, replace(SPEC, cron="0 0 4 * * *"))
    writes = [r.split("/")[0] for r in state.requests if "recurringruns" in r and not r.startswith("GET")]
    assert writes == ["POST ", "DELETE "]
    assert len(work.ours(kubeflow, next(iter(state.experiments)))) == 1


def test_a_kill_between_making_and_deleting_is_repaired_by_the_next_apply(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow, _, state = cluster

    def killed(identity: str) -> None:
        raise KeyboardInterrupt(identity)

    bring(cluster)
    changed = replace(SPEC, cron="0 0 4 * * *")
    with monkeypatch.context() as patch:
        patch.setattr(kubeflow, "delete_recurring_run", killed)
        with pytest.raises(KeyboardInterrupt):
            bring(cluster, changed)
    assert len(state.schedules) == 2
    assert bring(cluster, changed) == ["1 superseded copies"]
    (left,) = state.schedules.values()
    assert left["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * *"


@pytest.mark.parametrize("fault", ["drop", "lose", "unavailable", "fail-after"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_lost_answer_makes_no_second_one(cluster: Cluster, method: str, fault: Fault) -> None:
    state = cluster[2]
    bring(cluster)
    state.inject(method, "/recurringruns", fault)
    bring(cluster, replace(SPEC, cron="0 0 4 * * *"))
    assert not state.faults, "the fault was not met"
    (left,) = state.schedules.values()
    assert left["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * *"


def test_new_code_is_a_new_version_and_a_new_recurring_run(cluster: Cluster) -> None:
    kubeflow, environment, state = cluster
    bring(cluster)
    images = Images(*(image.replace("a" * 64, "c" * 64) for image in (IMAGES.cpu, IMAGES.gpu)))
    (change,) = bring((kubeflow, replace(environment, images=images), state))
    assert change.startswith("version: ")
    assert len(state.versions) == 2


def test_a_schedule_that_was_paused_by_hand_stays_paused_after_a_change(cluster: Cluster) -> None:
    kubeflow, _, state = cluster
    bring(cluster)
    kubeflow.enable_recurring_run(next(iter(state.schedules)), enabled=False)
    assert bring(cluster) == []
    bring(cluster, replace(SPEC, cron="0 0 4 * * *"))
    (left,) = state.schedules.values()
    assert left["status"] == "DISABLED"
    kubeflow.enable_recurring_run(left["recurring_run_id"], enabled=True)
    assert left["status"] == "ENABLED"


def test_what_others_scheduled_is_left_alone(cluster: Cluster) -> None:
    kubeflow, environment, state = cluster
    bring(cluster)
    foreign = dict(next(iter(state.schedules.values())), recurring_run_id="theirs", description="by hand")
    state.schedules["theirs"] = foreign
    bring(cluster, replace(SPEC, cron="0 0 4 * * *"))
    work.remove(kubeflow, work.ours(kubeflow, kubeflow.ensure_experiment()))
    assert list(state.schedules) == ["theirs"]
    assert environment.name == "dev"


def test_a_schedule_on_a_later_page_is_found(cluster: Cluster) -> None:
    cluster[2].page_size = 1
    for name in ("a", "b", "c"):
        bring(cluster, replace(SPEC, name=name))
    assert bring(cluster, replace(SPEC, name="a")) == []


def test_a_server_that_knows_another_pipeline_says_so(cluster: Cluster) -> None:
    kubeflow, environment, _ = cluster
    wanted = work.prepare(kubeflow, environment, training_pipeline, SPEC)
    with pytest.raises(StepError, match="refused to create the schedule nightly: parameter 'colour' is unknown"):
        work.apply(kubeflow, replace(wanted, parameters={**wanted.parameters, "colour": "red"}))
