"""`mmctr review`, `mmctr rollback` and `mmctr predict` as a person types them."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from components.tracking.models import Models
from components.tracking.server import connect, tracking_uri
from components.tracking.tags import NO_CHAMPION
from pipelines.cli import app, main
from tests.services.registry import make_version


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions: the second was compared with the first."""
    folder = tmp_path_factory.mktemp("workspace")
    models = Models(connect(f"sqlite:///{folder / 'mlflow.db'}"), "mmctr")
    for compared_with in (NO_CHAMPION, "1"):
        make_version(models, folder, compared_with=compared_with)
    return folder


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "240")


def mmctr(workspace: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--workspace", str(workspace)])


def say(by: str) -> list[str]:
    return ["--by", by, "--note", "calibration holds [and more]"]


def test_from_pending_to_champion_and_back(workspace: Path) -> None:
    listed = mmctr(workspace, "review", "list")
    assert listed.exit_code == 0
    assert listed.stdout.count("pending") == 2
    assert "0 decisions; head hash none" in listed.stdout

    approved = mmctr(workspace, "review", "approve", "1", *say("Ada"))
    assert "Ada approved version 1: calibration holds [and more]. The champion is version 1." in approved.stdout
    assert mmctr(workspace, "review", "approve", "2", *say("Ada")).exit_code == 0
    shown = mmctr(workspace, "review", "show", "2").stdout
    assert "mmctr version 2 approved" in shown
    assert "mmctr.package_sha256" in shown
    assert "decision 2" in shown

    back = mmctr(workspace, "rollback", *say("Bob"))
    assert "Bob rolled back to version 1" in back.stdout
    assert "The champion is version 1, the previous one 2." in back.stdout
    again = mmctr(workspace, "rollback", *say("Cyd"))
    assert "use --forward" in str(again.exception)
    listed = mmctr(workspace, "review", "list")
    assert "3 decisions; head hash" in listed.stdout
    assert "rolled_back" in listed.stdout


def test_what_an_earlier_command_left_is_told(workspace: Path) -> None:
    models = Models(connect(tracking_uri(workspace)), "mmctr")
    mmctr(workspace, "review", "approve", "1", *say("Ada"))
    models.delete_alias("champion")
    assert "mended: champion stood at no version" in mmctr(workspace, "review", "list").stdout


def test_no_model_yet_is_no_error(workspace: Path) -> None:
    listed = mmctr(workspace, "review", "list", "--name", "another")
    assert listed.exit_code == 0
    assert "another has no version yet" in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["review", "approve", "9", "--by", "Ada", "--note", "x"], 1, "mmctr has no version 9; there is: 1, 2"),
        (["review", "approve", "1", "--by", "", "--note", "x"], 2, "--by is empty"),
        (["predict", "--data", "nowhere", "--out", "x"], 2, "--data nowhere: no such file or folder"),
        (["predict", "--data", ".", "--out", "x", "--format", "json"], 2, "--format = 'json': must be one of"),
    ],
    ids=["unknown version", "no author", "no data", "unknown format"],
)
def test_wrong_use_is_one_line_and_its_exit_code(
    workspace: Path, arguments: list[str], code: int, words: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["mmctr", *arguments, "--workspace", str(workspace)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == code
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
