"""What Kubeflow is given: images by digest, limits on everything, secrets by reference, the same bytes each time."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes

from components.errors import StepError
from pipelines.access import GIT_FOLDER, Certificates, Git
from pipelines.compile import compile_pipeline
from pipelines.environment import FOLDER, Environment, Images, StepResources, load_environment
from pipelines.items import items_pipeline
from pipelines.training import training_pipeline
from tests.services import argo

REPOSITORY = Path(__file__).parents[4]
GOLDEN = REPOSITORY / "tests/golden"
DIGESTS = {"cpu": "sha256:" + "a" * 64, "gpu": "sha256:" + "b" * 64}


def built(name: str) -> Environment:
    images = Images(*(f"registry.example.com/mmctr/{kind}@{DIGESTS[kind]}" for kind in ("cpu", "gpu")))
    return replace(load_environment(name, REPOSITORY / FOLDER), images=images)


@pytest.fixture(scope="module")
def prod() -> tuple[dict[str, Any], dict[str, Any]]:
    pipeline, platform = yaml.safe_load_all(compile_pipeline(training_pipeline, built("prod")))
    return pipeline, platform["platforms"]["kubernetes"]


def test_the_pipeline_of_items_is_the_golden_one_and_takes_the_same_environments() -> None:
    text, golden = compile_pipeline(items_pipeline), GOLDEN / "pipeline-items.yaml"
    if os.environ.get("MMCTR_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    assert DIGESTS["gpu"] in compile_pipeline(items_pipeline, built("prod"))


@pytest.mark.parametrize("name", [None, "prod"], ids=["bare", "prod"])
def test_the_compiled_pipeline_is_the_golden_one(name: str | None) -> None:
    """Changed on purpose? Run this test with MMCTR_UPDATE_GOLDEN=1 and read the diff."""
    text = compile_pipeline(training_pipeline, built(name) if name else None)
    golden = GOLDEN / ("pipeline.yaml" if name is None else f"pipeline-{name}.yaml")
    if os.environ.get("MMCTR_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    program = (
        "import sys; from pipelines.compile import compile_pipeline; from pipelines.training import training_pipeline; "
        "sys.stdout.write(compile_pipeline(training_pipeline))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == (GOLDEN / "pipeline.yaml").read_text()


def test_kfp_reads_it_back() -> None:
    loaded = components.load_component_from_text(compile_pipeline(training_pipeline, built("prod")))
    assert loaded.name == training_pipeline.name


def test_images_are_digests_and_follow_the_step(prod: tuple[dict[str, Any], dict[str, Any]]) -> None:
    executors = prod[0]["deploymentSpec"]["executors"]
    kinds = {label: ("gpu" if label in (*ACCELERATED, "exec-train") else "cpu") for label in executors}
    for label, executor in executors.items():
        container = executor["container"]
        assert container["image"] == f"registry.example.com/mmctr/{kinds[label]}@{DIGESTS[kinds[label]]}"
        assert {"name": "MMCTR_CODE_VERSION", "value": DIGESTS[kinds[label]]} in container["env"]


def test_every_step_is_limited_retried_and_uncached(prod: tuple[dict[str, Any], dict[str, Any]]) -> None:
    pipeline, platform = prod
    assert set(platform["deploymentSpec"]["executors"]) == set(pipeline["deploymentSpec"]["executors"])
    for executor in pipeline["deploymentSpec"]["executors"].values():
        resources = executor["container"]["resources"]
        assert resources["resourceCpuLimit"] == resources["resourceCpuRequest"]
        assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"]
    for settings in platform["deploymentSpec"]["executors"].values():
        assert int(settings["activeDeadlineSeconds"]) > 0
        assert settings["securityContext"]["runAsNonRoot"] is True
        json_format.ParseDict(settings, kubernetes.KubernetesExecutorConfig())  # refuses unknown fields
    assert platform["pipelineConfig"] == {
        "activeDeadlineSeconds": 60 * 3600,
        **{f"resourceTtlOn{outcome}": 14 * 86_400 for outcome in ("Completion", "Success", "Failure")},
    }
    for name, task in tasks_of(pipeline).items():
        assert not task["cachingOptions"], name  # proto3 leaves a false out: the empty options are "off"
        if name in STEPS:
            assert task["retryPolicy"]["maxRetryCount"] >= 1
            assert (task["retryPolicy"]["backoffDuration"], task["retryPolicy"]["backoffFactor"]) == ("60s", 2.0)


def test_a_small_cluster_reserves_less_of_the_processor_than_a_step_may_use() -> None:
    pipeline = next(yaml.safe_load_all(compile_pipeline(training_pipeline, built("dev"))))
    resources = pipeline["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceCpuRequest"]) == ("2", "100m")


ACCELERATED = ("exec-encode-shard", "exec-evaluate")  # a training has a TrainJob of its own
STEPS = {
    "ingest",
    "fetch-champion",
    "validate",
    "decide",
    "encode-shard",
    "embed",
    "train",
    "evaluate",
    "gate",
    "register",
    "notify",
}


def tasks_of(pipeline: dict[str, Any]) -> dict[str, Any]:
    dags = [pipeline["root"]["dag"], *(c["dag"] for c in pipeline["components"].values() if "dag" in c)]
    return {name: task for dag in dags for name, task in dag["tasks"].items()}


def test_the_gpu_steps_ask_for_gpus_and_tolerate_their_nodes(prod: tuple[dict[str, Any], dict[str, Any]]) -> None:
    pipeline, platform = prod
    accelerated = {
        label: executor["container"]["resources"]["accelerator"]
        for label, executor in pipeline["deploymentSpec"]["executors"].items()
        if "accelerator" in executor["container"]["resources"]
    }
    one = {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}
    assert accelerated == dict.fromkeys(ACCELERATED, one)
    settings = platform["deploymentSpec"]["executors"]["exec-evaluate"]
    assert settings["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert settings["nodeSelector"] == {"labels": {"accelerator": "nvidia"}}


def test_secrets_are_references(prod: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for settings in prod[1]["deploymentSpec"]["executors"].values():
        names = {entry["keyToEnv"][0]["envVar"]: entry for entry in settings["secretAsEnv"]}
        assert names["AWS_SECRET_ACCESS_KEY"]["secretNameParameter"]["runtimeValue"]["constant"] == "mmctr-s3"
        assert names["MMCTR_NOTIFY_URL"]["optional"] is True


def test_unbuilt_images_are_refused_with_the_remedy() -> None:
    with pytest.raises(StepError, match=r"images.cpu still has the all-zero digest: run `make images`"):
        compile_pipeline(training_pipeline, load_environment("prod", REPOSITORY / FOLDER))


def test_resources_for_a_step_that_is_not_there_are_refused() -> None:
    environment = built("dev")
    extra = StepResources(steps=("polish",), cpu="1", memory="1Gi", timeout_minutes=1)
    with pytest.raises(StepError, match=r"resources name the step 'polish', which no pipeline has"):
        compile_pipeline(training_pipeline, replace(environment, resources=(*environment.resources, extra)))


def test_a_step_without_resources_is_refused() -> None:
    environment = built("dev")
    with pytest.raises(ValueError, match="is not named in environment 'dev'"):
        compile_pipeline(training_pipeline, replace(environment, resources=environment.resources[1:]))


HOUR = 3600.0


def test_a_training_that_loses_its_node_after_eleven_hours_is_tried_again_with_its_whole_time(
    prod: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """Argo Workflows 4.0.5, workflow/controller/operator.go:1026-1095: all tries lie in one window, and a later try's
    pod is killed at its end."""
    pipeline, platform = prod
    retries = argo.retries_of(tasks_of(pipeline)["train"], argo.AS_DOCUMENTED)
    limit = int(platform["deploymentSpec"]["executors"]["exec-train"]["activeDeadlineSeconds"])
    attempts = [(0.0, 11 * HOUR)]
    for _ in range(retries.limit):
        found = retries.again(attempts, "Failed")
        assert found is not None, f"try {len(attempts) + 1} never starts"
        start, deadline = found
        assert deadline >= start + limit
        attempts.append((start, start + 11 * HOUR))
    assert retries.again(attempts, "Failed") is None


def test_with_kubeflows_own_defaults_a_crashed_step_is_not_retried(prod: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """What `mmctr doctor` tells the cluster's operator to change."""
    retries = argo.retries_of(tasks_of(prod[0])["train"], argo.SHIPPED)
    assert retries.again([(0.0, HOUR)], "Failed") is None
    assert retries.again([(0.0, HOUR)], "Error") is not None


@pytest.mark.parametrize("succeeded", [True, False])
def test_pods_stay_as_long_as_the_environment_says(
    prod: tuple[dict[str, Any], dict[str, Any]], succeeded: bool
) -> None:
    assert argo.lifetime_of(prod[1], argo.SHIPPED, succeeded) == 14 * 86_400


def test_the_gpu_steps_share_memory(prod: tuple[dict[str, Any], dict[str, Any]]) -> None:
    executors = prod[1]["deploymentSpec"]["executors"]
    for label in ACCELERATED:
        shared = argo.volumes_of(executors[label])["/dev/shm"]
        assert (shared["medium"], shared["sizeLimit"]) == ("Memory", "8Gi")
    assert "/dev/shm" not in argo.volumes_of(executors["exec-ingest"])


def test_pods_do_not_set_the_label_that_kubeflow_sets(prod: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """kubeflow/manifests 1.11.0, common/networkpolicies/base/ml-pipeline.yaml:15-20."""
    for settings in prod[1]["deploymentSpec"]["executors"].values():
        assert settings["podMetadata"]["labels"] == {"mmctr.io/owned": "true"}


PRIVATE = {
    "image_pull_secrets": ("registry-login",),
    "git": Git("git-token"),
    "certificates": Certificates("company-ca"),
}


def test_private_servers_are_reached_with_what_the_environment_names() -> None:
    text = compile_pipeline(training_pipeline, replace(built("prod"), **PRIVATE))  # type: ignore[arg-type]
    pipeline, platform = yaml.safe_load_all(text)
    for label, settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        json_format.ParseDict(settings, kubernetes.KubernetesExecutorConfig())
        names = [secret["secretNameParameter"]["runtimeValue"]["constant"] for secret in settings["imagePullSecret"]]
        assert names == ["registry-login"]
        assert settings["configMapAsVolume"][0]["mountPath"] == "/etc/mmctr/certificates"
        env = {v["name"]: v["value"] for v in pipeline["deploymentSpec"]["executors"][label]["container"]["env"]}
        assert env["REQUESTS_CA_BUNDLE"] == env["GIT_SSL_CAINFO"] == "/etc/mmctr/certificates/ca.crt"
        assert ("secretAsVolume" in settings) == ("GIT_CONFIG_VALUE_0" in env) == (label == "exec-ingest")


def test_git_is_given_the_secrets_name_and_password(tmp_path: Path) -> None:
    """Git itself runs the helper; the folder stands for the mounted secret."""
    (tmp_path / "username").write_text("robot")
    (tmp_path / "password").write_text("s3cret=with=signs")
    helper = {key: value.replace(GIT_FOLDER, str(tmp_path)) for key, value in Git("git-token").variables().items()}
    filled = subprocess.run(
        ["git", "credential", "fill"],
        input="protocol=https\nhost=git.example.com\n\n",
        text=True,
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **helper},
    )
    assert {"username=robot", "password=s3cret=with=signs"} <= set(filled.stdout.splitlines())
