from pathlib import Path

import pytest

from components.train.job import Job, prepare_job
from tests.tiny_training import run_config, write_inputs


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path, Path]:
    return write_inputs(tmp_path)


@pytest.fixture
def job(inputs: tuple[Path, Path, Path], tmp_path: Path) -> Job:
    return prepare_job(*inputs, run_config(), tmp_path / "work")
