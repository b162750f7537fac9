from pathlib import Path

import pytest

from components.artifacts import Artifacts
from components.train.job import Job, prepare_job
from tests.tiny_training import recipe, write_inputs


@pytest.fixture
def inputs(tmp_path: Path) -> Artifacts:
    return write_inputs(tmp_path)


@pytest.fixture
def job(inputs: Artifacts, tmp_path: Path) -> Job:
    return prepare_job(inputs, recipe(), tmp_path / "work")
