"""The command line: what it refuses at once, and what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import cli


def _refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", ["mmctr", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code in (1, 2)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["run"], "is not in a git repository", id="run-outside-a-repository"),
        pytest.param(["run", "--data", "nowhere"], "--data nowhere: no such folder", id="no-such-data"),
        pytest.param(["run", "--data", ".", "--revision", "HEAD"], "--data and --revision: give one", id="two-sources"),
        pytest.param(["ui"], "no registry here: there is no", id="ui-without-a-registry"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_and_nothing_is_written(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    said = _refused(arguments, monkeypatch, capsys)
    assert said.startswith("mmctr: ")
    assert words in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_starts_without_any_heavy_package() -> None:
    """`mmctr --help`, a wrong option and every other command first import all modules of `pipelines.cli`."""
    heavy = {
        "boto3",
        "dvc",
        "great_expectations",
        "kfp",
        "kubernetes",
        "matplotlib",
        "mlflow",
        "numpy",
        "pandas",
        "torch",
    }
    program = "import sys; from pipelines.cli import main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
