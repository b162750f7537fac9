"""Which heavy packages the commands import: most of what a person waits for in a short command is imports."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.tracking.models import Models
from components.tracking.server import connect
from components.tracking.tags import NO_CHAMPION
from tests.services.registry import make_version

ROOT = Path(__file__).parents[3]
HEAVY = {"boto3", "dvc", "great_expectations", "kfp", "kubernetes", "matplotlib", "sklearn", "torch", "transformers"}
PROGRAM = """
import atexit, gc, sys
from pipelines.cli import main
atexit.register(lambda: print("AT-EXIT", gc.isenabled(), gc.get_freeze_count(), *sys.modules))
main()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry of one version in `.mmctr`, and a data set that no command can use in `broken`."""
    folder = tmp_path_factory.mktemp("place")
    make_version(
        Models(connect(f"sqlite:///{folder / '.mmctr' / 'mlflow.db'}"), "mmctr"), folder, compared_with=NO_CHAMPION
    )
    (folder / "broken").mkdir()
    for split in ("train", "valid", "test"):
        pq.write_table(pa.table({"item_id": ["text"]}), folder / "broken" / f"{split}.parquet")
    return folder


def _run(place: Path, arguments: list[str], status: int) -> list[str]:
    """What was said at the exit: whether garbage is collected, how many objects are not looked through, all modules."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    variables.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout.partition("AT-EXIT ")[2].split()


def test_the_command_line_itself_imports_no_heavy_package(place: Path) -> None:
    assert not (HEAVY | {"mlflow", "numpy", "pandas", "pyarrow", "sqlalchemy"}) & set(_run(place, ["--help"], 0))


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--data", "broken"],
        ["study", "mask", "--data", "broken"],
        ["data", "check", "broken", "--out", "checked"],
        ["predict", "--data", "broken", "--out", "scores.parquet"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_broken_data_is_refused_before_anything_heavy_is_imported(place: Path, arguments: list[str]) -> None:
    assert not (HEAVY | {"mlflow", "pandas"}) & set(_run(place, arguments, 1))


BY = ["--by", "Ada", "--note", "because"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["review", "list"], 0),
        (["review", "show", "1"], 0),
        (["review", "approve", "99", *BY], 1),  # the last three ask the registry and then refuse
        (["review", "reject", "99", *BY], 1),
        (["rollback", *BY], 1),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else str(value),
)
def test_a_review_command_imports_nothing_heavy_but_mlflow(place: Path, arguments: list[str], status: int) -> None:
    collecting, kept, *loaded = _run(place, arguments, status)
    assert "mlflow" in loaded
    assert not HEAVY & set(loaded)
    assert collecting == "True"
    assert int(kept) > 100_000, "the garbage collector looks through MLflow's modules again"
