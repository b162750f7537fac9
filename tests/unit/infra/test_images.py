"""How images are built, listed and pinned, without building any: tests/containers does."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.environment import load_environment

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "infra/images"
BUILT = {kind: f"registry.example.com/other/{kind}@sha256:{digit * 64}" for kind, digit in (("cpu", "a"), ("gpu", "b"))}


def script(name: str) -> ModuleType:
    """The scripts run by path, as `make` runs them."""
    spec = importlib.util.spec_from_file_location(f"images_{name}", IMAGES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("engine", "verb"), [("docker", "build"), ("podman", "build"), ("buildah", "bud")])
def test_each_engine_is_asked_for_the_same_image(engine: str, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_IMAGE", "python:3.11-slim")
    monkeypatch.delenv("PIP_OPTIONS", raising=False)
    command = script("build").build_command(engine, "cpu", "mmctr/cpu:build", ["--network=host"])
    assert command[:2] == [engine, verb]
    assert command[-2:] == ["--network=host", str(ROOT)]
    assert command[command.index("--build-arg") + 1] == "BASE_IMAGE=python:3.11-slim"
    assert command[command.index("--target") + 1] == "cpu"


def test_the_build_is_given_every_folder_that_it_copies() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (IMAGES / "Dockerfile").read_text(), re.MULTILINE)
    given = (ROOT / ".dockerignore").read_text().splitlines()
    sources = {source.rstrip("*") for line in copied for source in line.split()}
    assert {source for source in sources if not any(f"!{source}".startswith(line) for line in given)} == set()
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    assert set(layers) <= sources


def test_a_push_gives_the_registrys_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = script("build")

    def pretend(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        if "--digestfile" in command:
            Path(command[command.index("--digestfile") + 1]).write_text("sha256:" + "a" * 64)
        return subprocess.CompletedProcess(command, 0, json.dumps(["x/cpu@sha256:old", "r/cpu@sha256:new"]), "")

    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "dist").mkdir()
    monkeypatch.setattr(build.subprocess, "run", pretend)
    assert build.push("podman", "r:5000/cpu:build") == "r:5000/cpu@sha256:" + "a" * 64
    assert build.push("docker", "r/cpu:build") == "r/cpu@sha256:new"


def test_pinning_writes_environments_and_overlays_and_keeps_their_words(tmp_path: Path) -> None:
    for name in ("environments", "k8s"):
        shutil.copytree(ROOT / "infra" / name, tmp_path / name)
    pin = script("pin")
    assert len(pin.pin(BUILT, tmp_path)) == 4
    assert pin.pin(BUILT, tmp_path) == [], "the same digests again change nothing"
    prod, dev = (load_environment(str(tmp_path / f"environments/{name}.yaml")) for name in ("prod", "dev"))
    assert {"cpu": prod.images.cpu, "gpu": prod.images.gpu} == BUILT
    assert dev.images.gpu == BUILT["cpu"]
    overlay = (tmp_path / "k8s/overlays/prod/kustomization.yaml").read_text()
    assert 'newName: registry.example.com/other/gpu, digest: "sha256:bbbb' in overlay
    before = (ROOT / "infra/k8s/overlays/prod/kustomization.yaml").read_text()
    comments = [line for line in before.splitlines() if line.lstrip().startswith("#")]
    assert all(comment in overlay for comment in comments)


def test_images_of_others_are_pinned_by_the_name_that_the_overlays_use(tmp_path: Path) -> None:
    for name in ("environments", "k8s"):
        shutil.copytree(ROOT / "infra" / name, tmp_path / name)
    pin = script("pin")
    assert {"dev: postgres", "dev: seaweedfs", "prod: postgres"} <= set(pin.unpinned(tmp_path))
    (tmp_path / "images.json").write_text(json.dumps(BUILT))
    postgres, seaweedfs = f"r/postgres@sha256:{'c' * 64}", f"r/seaweedfs@sha256:{'d' * 64}"
    others = [f"postgres={postgres}", f"seaweedfs={seaweedfs}"]
    pin.pin(pin.given_images([str(tmp_path / "images.json"), *others]), tmp_path)
    assert pin.unpinned(tmp_path) == []
    overlay = (tmp_path / "k8s/overlays/dev/kustomization.yaml").read_text()
    assert f'{{name: seaweedfs, newName: r/seaweedfs, digest: "sha256:{"d" * 64}"}}' in overlay


def test_one_environment_is_pinned_alone(tmp_path: Path) -> None:
    for name in ("environments", "k8s"):
        shutil.copytree(ROOT / "infra" / name, tmp_path / name)
    pin = script("pin")
    changed = pin.pin(pin.given_images([f"cpu={BUILT['cpu']}"]), tmp_path, "dev")
    assert [path.relative_to(tmp_path).as_posix() for path in changed] == [
        "environments/dev.yaml",
        "k8s/overlays/dev/kustomization.yaml",
    ]
    assert load_environment(str(tmp_path / "environments/dev.yaml")).images.unbuilt() == []
    assert pin.unpinned(tmp_path, "dev") == ["dev: postgres", "dev: seaweedfs"]


@pytest.mark.parametrize("wrong", ["postgres", "postgres=postgres:17", "postgres=postgres@sha256:12"])
def test_an_image_without_a_digest_is_not_pinned(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "images.json").write_text(json.dumps(BUILT))
    with pytest.raises(SystemExit, match="must be NAME=IMAGE@sha256:DIGEST"):
        script("pin").given_images([str(tmp_path / "images.json"), wrong])


def test_the_bill_of_materials_lists_what_is_installed_twice_the_same() -> None:
    runs = [
        subprocess.run([sys.executable, str(IMAGES / "sbom.py")], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    components = json.loads(runs[0])["components"]
    references = [component["bom-ref"] for component in components]
    assert len(references) == len(set(references))
    versions = {c["name"]: c["version"] for c in components if c["purl"].startswith("pkg:pypi/")}
    assert versions["kfp"] == "2.17.0"


def test_the_dockerfile_ends_as_a_numbered_user_and_copies_the_source_last() -> None:
    stages = re.split(r"(?m)^FROM ", (IMAGES / "Dockerfile").read_text())
    for name in ("cpu", "gpu"):
        (stage,) = [stage for stage in stages if re.match(rf"\S+ AS {name}\n", stage)]
        instructions = [line for line in stage.splitlines()[1:] if line and not line.startswith("#")]
        assert instructions[-4:] == [
            "COPY components /app/components",
            "COPY studies /app/studies",
            "COPY pipelines /app/pipelines",
            "USER 10001:10001",
        ]
