"""The images, each built once for all container tests, from wheels and without a network."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.containers import engine


@pytest.fixture(scope="session")
def base_image() -> Iterator[str]:
    """With the daemon running."""
    with engine.running_docker():
        yield engine.base_image()


@pytest.fixture(scope="session")
def cpu_image(base_image: str) -> str:
    return built("cpu", base_image)


@pytest.fixture(scope="session")
def gpu_image(base_image: str) -> str:
    engine.gpu_wheels()
    return built("gpu", base_image)


def built(target: str, base_image: str) -> str:
    environment = {**os.environ, "BASE_IMAGE": base_image, "PIP_OPTIONS": "--no-index"}
    engine.wheels()
    script = str(engine.ROOT / "infra/images/build.py")
    build = [sys.executable, script, "--engine", "docker", "--target", target, "--tag", "test", "--", "--network=none"]
    # The classic builder: BuildKit comes as a plugin that is not everywhere.
    environment["DOCKER_BUILDKIT"] = "0"
    made = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    return f"mmctr/{target}:test"
