"""Files of environments: the shipped ones are valid, and an error names the file and the field."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import StepError
from pipelines.environment import FOLDER, UNBUILT, Environment, Images, load_environment

REPOSITORY = Path(__file__).parents[4]


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_shipped_environments_are_valid(name: str) -> None:
    environment = load_environment(name, REPOSITORY / FOLDER)
    assert environment.name == name
    assert environment.images.unbuilt() == ["cpu", "gpu"], "a digest of someone's registry does not belong in git"


def edited(tmp_path: Path, path: str, value: Any) -> Path:
    """The dev environment with one field changed; `path` is like resources.0.cpu."""
    values = yaml.safe_load((REPOSITORY / FOLDER / "dev.yaml").read_text())
    *parents, leaf = path.split(".")
    target = values
    for parent in parents:
        target = target[int(parent)] if parent.isdigit() else target[parent]
    target[leaf] = value
    (tmp_path / "edited.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "edited.yaml"


DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("images.cpu", "registry.example.com/mmctr/cpu:1.4", "images.cpu = .*must be name@sha256"),
        ("images.cpu", "registry.example.com/mmctr/cpu", "images.cpu = .*must be name@sha256"),
        ("images.gpu", "registry.example.com/mmctr/gpu:1.4" + DIGEST, "images.gpu = .*must be name@sha256"),
        ("images.gpu", "mmctr-gpu@sha256:abc", "images.gpu = .*must be name@sha256"),
        ("resources.0.cpu", "two", "resources.cpu = 'two': must be a Kubernetes quantity"),
        ("resources.0.cpu_request", "few", "resources.cpu_request = 'few': must be a Kubernetes quantity"),
        ("resources.0.memory", "8GB", "resources.memory = '8GB': must be a Kubernetes quantity"),
        ("resources.0.timeout_minutes", 0, "resources.timeout_minutes = 0: must be at least 1"),
        ("resources.0.retries", -1, "resources.retries = -1: must be at least 0"),
        ("resources.0.retries", "3", "retries = '3': must be a whole number"),
        ("resources.0.steps", [], "must name at least one step"),
        ("resources.0.steps", ["ingest", "gate"], "the step 'gate' stands in two groups"),
        ("resources.0.colour", "red", "colour: no such field"),
        ("resources.0.tolerations", [{"key": "gpu", "effect": "Never"}], "tolerations.effect = 'Never'"),
        ("variables.0.name", "DB_PASSWORD", "looks like a secret"),
        ("variables.0.name", "A-B", "must be an environment variable's name"),
        ("secrets.0.secret", "My Secret", "must be the name of a Kubernetes secret"),
        ("volumes.0.path", "workspace", "volumes.path = 'workspace': must be absolute"),
        ("service.host", "localhost:8080", "must begin with http:// or https://"),
        ("user_id", 0, "user_id = 0: must be at least 1"),
        ("scratch_size", "16GB", "scratch_size = '16GB'"),
        ("backoff", {"seconds": 60, "factor": 1.5}, "backoff.factor = 1.5: must be a whole number"),
        ("training", "notebook", "training = 'notebook': must be one of 'step', 'trainjob'"),
        ("shared_memory_size", "8GB", "shared_memory_size = '8GB'"),
        ("service.mode", "shared", "service.mode = 'shared': must be one of"),
        ("service.namespace", "mmctr", "single-user installation runs everything in its own namespace"),
        ("service.public_url", "kubeflow", "service.public_url = 'kubeflow': must begin with http"),
        ("image_pull_secrets", ["My Login"], "image_pull_secrets = 'My Login': must be the name of a"),
        ("git", {"secret": "git", "kind": "cookie"}, "git.kind = 'cookie'"),
        ("certificates", {"config_map": "ca", "file": "a/b"}, "certificates.file = 'a/b'"),
    ],
)
def test_a_wrong_field_is_named_with_the_file(tmp_path: Path, path: str, value: Any, message: str) -> None:
    file = edited(tmp_path, path, value)
    with pytest.raises(StepError, match=f"edited.yaml.*{message}"):
        load_environment(str(file))


def test_an_unknown_environment_is_answered_with_those_there_are() -> None:
    with pytest.raises(StepError, match=r"no environment 'qa'.*environments in .*: dev, prod"):
        load_environment("qa", REPOSITORY / FOLDER)


def test_the_digests_of_a_build_take_the_place_of_the_environments(tmp_path: Path) -> None:
    built = {kind: f"registry.example.com/{kind}{DIGEST}" for kind in ("cpu", "gpu")}
    (tmp_path / "images.json").write_text(json.dumps(built))
    environment = load_environment("prod", REPOSITORY / FOLDER, tmp_path / "images.json")
    assert environment.images == Images(**built)
    assert environment.images.unbuilt() == []


def test_a_missing_build_is_said(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"images.json is missing: `make images` writes it"):
        load_environment("prod", REPOSITORY / FOLDER, tmp_path / "images.json")


def test_a_step_without_resources_is_named() -> None:
    environment: Environment = load_environment("dev", REPOSITORY / FOLDER)
    with pytest.raises(ValueError, match="the step 'polish' of the pipeline is not named in environment 'dev'"):
        environment.resources_of("polish")


def test_the_unbuilt_digest_is_a_digest() -> None:
    assert Images(f"a@sha256:{UNBUILT}", f"b@sha256:{UNBUILT}").unbuilt() == ["cpu", "gpu"]


def test_a_step_that_waits_for_a_trainjob_may_hold_no_gpu(tmp_path: Path) -> None:
    values = yaml.safe_load(edited(tmp_path, "training", "trainjob").read_text())
    values["resources"][0]["gpus"] = 1
    (tmp_path / "edited.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(StepError, match=r"resources\.gpus of the step 'train': must be 0 with training: trainjob"):
        load_environment(str(tmp_path / "edited.yaml"))
