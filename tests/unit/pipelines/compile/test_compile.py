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
from pipelines.compile import compile_pipeline
from pipelines.environment import FOLDER, Environment, Images, StepResources, load_environment
from pipelines.training import training_pipeline

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
    kinds = {label: ("gpu" if label in ACCELERATED else "cpu") for label in executors}
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
        "activeDeadlineSeconds": 24 * 3600,
        "resourceTtlOnCompletion": 14 * 86_400,
    }
    for name, task in tasks_of(pipeline).items():
        assert not task["cachingOptions"], name  # proto3 leaves a false out: the empty options are "off"
        if name in STEPS:
            assert task["retryPolicy"]["maxRetryCount"] >= 1
            assert (task["retryPolicy"]["backoffDuration"], task["retryPolicy"]["backoffFactor"]) == ("60s", 2.0)


ACCELERATED = ("exec-encode-shard", "exec-train", "exec-evaluate")
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
    settings = platform["deploymentSpec"]["executors"]["exec-train"]
    assert settings["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert settings["nodeSelector"] == {"labels": {"accelerator": "nvidia"}}
    assert settings["enabledSharedMemory"] == {"volumeName": "shm"}


def test_secrets_are_references_for_old_and_new_servers(prod: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for settings in prod[1]["deploymentSpec"]["executors"].values():
        names = {entry["keyToEnv"][0]["envVar"]: entry for entry in settings["secretAsEnv"]}
        assert names["AWS_SECRET_ACCESS_KEY"]["secretName"] == "mmctr-s3"
        assert names["AWS_SECRET_ACCESS_KEY"]["secretNameParameter"]["runtimeValue"]["constant"] == "mmctr-s3"
        assert names["MMCTR_NOTIFY_URL"]["optional"] is True


def test_unbuilt_images_are_refused_with_the_remedy() -> None:
    with pytest.raises(StepError, match=r"images.cpu still has the all-zero digest: run `make images`"):
        compile_pipeline(training_pipeline, load_environment("prod", REPOSITORY / FOLDER))


def test_resources_for_a_step_that_is_not_there_are_refused() -> None:
    environment = built("dev")
    extra = StepResources(steps=("polish",), cpu="1", memory="1Gi", timeout_minutes=1)
    with pytest.raises(StepError, match=r"resources name the step 'polish', which the pipeline does not have"):
        compile_pipeline(training_pipeline, replace(environment, resources=(*environment.resources, extra)))


def test_a_step_without_resources_is_refused() -> None:
    environment = built("dev")
    with pytest.raises(ValueError, match="is not named in environment 'dev'"):
        compile_pipeline(training_pipeline, replace(environment, resources=environment.resources[1:]))
