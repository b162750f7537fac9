"""The Dockerfile is one that podman and buildah read too: the stage that all images share, built with those at hand."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.containers.engine import ROOT, docker
from tests.unit.infra.test_images import script

pytestmark = pytest.mark.containers

AT_HAND = [engine for engine in ("podman", "buildah") if shutil.which(engine)]


@pytest.mark.parametrize("engine", AT_HAND)
def test_the_shared_stage_is_built(
    engine: str, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tmp_path}/images"\nrunroot = "{tmp_path}/run"\n'
    )
    docker("save", "--output", str(tmp_path / "base.tar"), base_image)
    if engine == "podman":
        said = run("podman", "load", "--input", str(tmp_path / "base.tar"))
        base = re.findall(r"Loaded image.*?: (\S+)", said)[-1]
    else:
        base = f"docker-archive:{tmp_path}/base.tar"
    monkeypatch.setenv("BASE_IMAGE", base)
    build = script("build")
    run(*build.build_command(engine, "runtime", "mmctr/runtime:test", ["--network=none"]))
    assert re.fullmatch(r"(sha256:)?[0-9a-f]{64}", build.local_id(engine, "mmctr/runtime:test"))


def run(*command: str) -> str:
    made = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout
