"""`mmctr review`, `mmctr rollback` and `mmctr predict` as a person types them."""

import json
import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import components.review.decide
from components.packages.fetch import fetch_package
from components.tracking.models import Models, Version
from components.tracking.runs import run_for
from components.tracking.server import connect, tracking_uri
from components.tracking.tags import MODEL_VERSION, NO_CHAMPION, REGISTERED_NAME
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


LONG = "f" * 64  # as long as a hash
MARKUP = "closes [/red] what nobody opened"
RULES = [
    {"passed": True, "applies": True, "title": "Enough rows", "sentence": "500 rows were measured."},
    {"passed": True, "applies": False, "title": "Beats the champion", "sentence": "There is no champion."},
    {"passed": False, "applies": True, "title": "Rates", "sentence": "They are off."},
]

FINDINGS = [
    {"warns": True, "title": "Content lowers the AUC", "sentence": "It is 0.77 without."},
    {"warns": False, "title": "One feature carries the ranking", "sentence": "None does."},
]


@pytest.fixture(scope="module")
def ruled(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The model `ruled`: one version with rules, a long tag, a tag with markup in it and a report."""
    folder = tmp_path_factory.mktemp("ruled")
    models = Models(connect(tracking_uri(workspace)), "ruled")
    number = make_version(models, folder, rules=RULES, findings=FINDINGS)
    models.set_tag(number, "mmctr.long", LONG)
    models.set_tag(number, "mmctr.note", MARKUP)
    (folder / "report.html").write_text("<p>decide</p>")
    run_id = models.version(number).run_id
    models.server.call("log_artifact", run_id, str(folder / "report.html"), "gate")
    return models


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


def test_a_version_is_found_by_the_run_that_made_it(ruled: Models, workspace: Path) -> None:
    run = run_for("2041", "review", ruled.server)
    run.set_tags({REGISTERED_NAME: ruled.name, MODEL_VERSION: "1"})
    shown = mmctr(workspace, "review", "show", "--run", "2041", "--name", ruled.name)
    assert "ruled version 1 pending" in shown.stdout


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
        (["review", "show"], 2, "name one version: by its number, or by --run and the pipeline run that made it"),
        (["review", "show", "1", "--run", "7"], 2, "name one version"),
        (["review", "reject", "--run", "7", *say("Ada")], 1, "MLflow knows no pipeline run '7'"),
        (["predict", "--data", "nowhere", "--out", "x"], 2, "--data nowhere: no such file or folder"),
        (["predict", "--data", ".", "--out", "x", "--format", "json"], 2, "--format = 'json': must be one of"),
    ],
    ids=["unknown version", "no author", "no version", "two versions", "unknown run", "no data", "unknown format"],
)
def test_wrong_use_is_one_line_and_its_exit_code(
    workspace: Path,
    arguments: list[str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmctr", *arguments, "--workspace", str(workspace)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == code
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.usefixtures("ruled")
@pytest.mark.parametrize("columns", ["20", "60"])
def test_nothing_is_cut_however_narrow_the_screen(
    workspace: Path, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = mmctr(workspace, "review", "show", "1", "--name", "ruled").stdout
    assert f"mmctr.long  {LONG}\n" in shown
    assert f"mmctr.note  {MARKUP}\n" in shown
    listed = mmctr(workspace, "review", "list", "--name", "ruled").stdout
    assert "version 1 pending challenger\n" in listed
    assert "…" not in shown + listed


@pytest.mark.usefixtures("ruled")
def test_a_rule_that_does_not_apply_is_not_passed(workspace: Path) -> None:
    shown = mmctr(workspace, "review", "show", "1", "--name", "ruled").stdout
    assert "pass  Enough rows: 500" in shown
    assert "n/a   Beats the champion: There" in shown
    assert "fail  Rates: They" in shown
    assert "warns  Content lowers the AUC: It is 0.77 without." in shown
    assert "One feature" not in shown


def test_show_names_the_report_and_the_run(ruled: Models, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = dict(
        line.split("  ", 1)
        for line in mmctr(workspace, "review", "show", "1", "--name", "ruled").stdout.splitlines()
        if line.startswith(("report  ", "run  "))
    )
    assert Path(lines["report"]).read_text() == "<p>decide</p>"
    assert f"MLflow run {ruled.version(1).run_id} in " in lines["run"]
    assert "report  n/a" in mmctr(workspace, "review", "show", "1").stdout

    monkeypatch.setenv("MMCTR_MLFLOW_PUBLIC_URL", "https://mlflow.example.com")
    shown = json.loads(mmctr(workspace, "review", "show", "1", "--name", "ruled", "--json").stdout)
    assert shown["run"].startswith("https://mlflow.example.com/#/experiments/")
    assert shown["report"] == f"{shown['run']}/artifacts/gate/report.html"


@pytest.mark.usefixtures("ruled")
def test_json_is_all_that_stands_on_stdout(workspace: Path) -> None:
    listed = json.loads(mmctr(workspace, "review", "list", "--name", "ruled", "--json").stdout)
    assert [(v["version"], v["status"], v["aliases"]) for v in listed["versions"]] == [(1, "pending", ["challenger"])]
    assert (listed["decisions"], listed["head_hash"]) == (0, None)
    shown = json.loads(mmctr(workspace, "review", "show", "1", "--name", "ruled", "--json").stdout)
    assert shown["tags"]["mmctr.note"] == MARKUP
    assert shown["verdict"]["rules"] == RULES
    assert Path(shown["report"]).is_file()
    empty = json.loads(mmctr(workspace, "review", "list", "--name", "another", "--json").stdout)
    assert empty["versions"] == []


def test_json_tells_what_was_mended_and_decided(workspace: Path, tmp_path: Path) -> None:
    models = Models(connect(tracking_uri(workspace)), "mended")
    make_version(models, tmp_path)
    named = ("--name", "mended")
    assert mmctr(workspace, "review", "approve", "1", *say("Ada"), *named).exit_code == 0
    models.delete_alias("champion")
    listed = json.loads(mmctr(workspace, "review", "list", *named, "--json").stdout)
    assert listed["mended"][0].startswith("champion stood at no version")
    assert len(listed["head_hash"]) == 64
    assert [d["by"] for d in json.loads(mmctr(workspace, "review", "show", "1", *named, "--json").stdout)["decisions"]]
    plain = mmctr(workspace, "review", "list", *named).stdout
    assert f"\n1 decision; head hash {listed['head_hash']}\n" in plain
    assert listed["proof"] == f"{workspace}/decisions/mended"
    assert f"\nproof outside the registry: kept at {listed['proof']}\n" in plain


def test_temporary_files_are_in_the_workspace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[Path] = []

    def watched(models: Models, version: Version, out: Path) -> Path:
        places.append(out)
        return fetch_package(models, version, out)

    monkeypatch.setattr(components.review.decide, "fetch_package", watched)
    assert mmctr(workspace, "review", "show", "1").exit_code == 0
    assert workspace / "commands" in places[0].parents
    assert list((workspace / "commands").iterdir()) == []


def test_a_name_with_markup_is_shown_as_it_is(workspace: Path) -> None:
    assert "[red] has no version yet" in mmctr(workspace, "review", "list", "--name", "[red]").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["review", "list"],
        ["review", "show", "1"],
        ["review", "approve", "1", *say("Ada")],
        ["review", "reject", "1", *say("Ada")],
        ["rollback", *say("Ada")],
        ["predict", "--data", "/", "--out", "scores"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_without_a_registry_nothing_is_made(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mmctr", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    told = capsys.readouterr()
    assert "no registry here: run `mmctr run` first, or give --workspace / set MLFLOW_TRACKING_URI" in told.err
    assert (told.out, told.err.count("\n"), list(tmp_path.iterdir())) == ("", 1, [])


@pytest.mark.parametrize(
    ("interrupted", "before", "status", "words"),
    [
        ("check", True, "pending", "stopped; nothing was decided"),
        ("append", True, "pending", "stopped; the log does not hold the decision"),
        ("append", False, "approved", "stopped; the decision was taken (Ada approved version 1: "),
    ],
    ids=["while it checks", "before it is written", "after it is written"],
)
def test_ctrl_c_says_whether_the_decision_was_taken(
    workspace: Path,
    tmp_path: Path,
    interrupted: str,
    before: bool,
    status: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = Models(connect(tracking_uri(workspace)), tmp_path.name)
    make_version(models, tmp_path)
    real = getattr(components.review.decide, interrupted)

    def press(*given: object) -> object:
        if not before:
            real(*given)
        # As the command's own handler raises it. A signal to the whole process would be one to pytest as well.
        raise KeyboardInterrupt(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(components.review.decide, interrupted, press)
        stopped = mmctr(workspace, "review", "approve", "1", *say("Ada"), "--name", models.name)
    assert stopped.exit_code == 130
    assert words in stopped.stderr
    listed = json.loads(mmctr(workspace, "review", "list", "--name", models.name, "--json").stdout)
    assert [version["status"] for version in listed["versions"]] == [status]
