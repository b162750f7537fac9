from pathlib import Path

import pytest

from components.artifacts import Artifacts
from components.train.job import Job
from tests.tiny_training import recipe, write_inputs, written_job


@pytest.fixture
def inputs(tmp_path: Path) -> Artifacts:
    return write_inputs(tmp_path)


@pytest.fixture
def job(inputs: Artifacts, tmp_path: Path) -> Job:
    return written_job(inputs, recipe(), tmp_path / "work")


@pytest.fixture(scope="module")
def shared_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """For tests that change no file of it but the best weights, which each writes before it looks."""
    folder = tmp_path_factory.mktemp("shared-job")
    return written_job(write_inputs(folder), recipe(), folder / "work")
