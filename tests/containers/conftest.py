"""The cpu image, built once for all container tests, from wheels and without a network."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.containers import engine

IMAGE = "mmctr/cpu:test"


@pytest.fixture(scope="session")
def base_image() -> Iterator[str]:
    """With the daemon running."""
    with engine.running_docker():
        yield engine.base_image()


@pytest.fixture(scope="session")
def cpu_image(base_image: str) -> str:
    environment = {**os.environ, "BASE_IMAGE": base_image, "PIP_OPTIONS": "--no-index"}
    engine.wheels()
    build = [
        sys.executable,
        str(engine.ROOT / "infra/images/build.py"),
        "--engine",
        "docker",
        "--target",
        "cpu",
        "--tag",
        "test",
        "--",
        "--network=none",
    ]
    # The classic builder: BuildKit comes as a plugin that is not everywhere.
    environment["DOCKER_BUILDKIT"] = "0"
    made = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    return IMAGE
