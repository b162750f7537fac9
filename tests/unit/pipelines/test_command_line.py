"""The command line: what it refuses at once, and what it says."""

import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from pipelines import cli

ROOT = Path(__file__).parents[3]


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
        pytest.param(["study", "msk"], "mask", id="no-such-study"),
        pytest.param(
            ["study", "features", "--revision", "HEAD~1"], "features.yaml of the checkout", id="other-features"
        ),
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["compile", "-o", "folder"], "file 'folder' is a directory", id="compile"),
        pytest.param(["study", "mask", "--out", "file"], "dir 'file' is a file", id="study"),
        pytest.param(["data", "check", "folder", "--out", "file"], "dir 'file' is a file", id="data check"),
        pytest.param(["import", "movielens", "folder", "--out", "file"], "dir 'file' is a file", id="import"),
    ],
)
def test_an_output_of_the_wrong_kind_is_refused_before_the_work(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert words in _refused(arguments, monkeypatch, capsys)


def test_a_run_whose_mlflow_is_dead_makes_no_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(sys.modules["pipelines.cli.run"], "check_data", lambda *_: None)
    assert "does not answer" in _refused(["run", "--data", "."], monkeypatch, capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    said = _refused(["compile", "-o", f"{tmp_path}/file/below.yaml"], monkeypatch, capsys)
    assert said == f"mmctr: {tmp_path}/file: File exists\n"


def test_the_version_is_that_of_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["mmctr", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mmctr {version('mmctr')}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["rnu"], "Did you mean 'run'?"), (["review", "shwo"], "Did you mean 'show'?"), (["run", "--dat", "x"], "--data")],
    ids=["command", "command of a group", "option"],
)
def test_a_mistyped_command_or_option_names_the_one_that_is_meant(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert words in _refused(arguments, monkeypatch, capsys)


def test_no_name_is_one_that_mmctr_bench_needs() -> None:
    """It is the distribution mmctr-bench, with a package mmctr and a command mmctr."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["name"] != "mmctr-bench"
    installed = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert installed == {"model", "components", "studies", "pipelines"}
    scripts = project["project"]["scripts"]
    assert scripts["mmctr-pipeline"] == scripts["mmctr"]
