"""The text of a version's page: what a reviewer reads first, and what names out of the data may not do there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.dataset.lineage import Lineage
from components.gate.config import GatePolicy
from components.gate.verdict import decide
from components.register.description import describe
from components.report.words import fixed, signed
from components.tracking.runs import run_for
from components.tracking.server import connect
from tests.measured import World, checked_data, measured, unreadable_champion

LINEAGE = Lineage(
    repository="https://git.example.org/clicks.git",
    revision="main",
    data_commit="a" * 40,
    data_md5="b" * 32,
    files={},
    size=1,
    remote="",
    code_commit=None,
    code_changed=False,
    lock_sha256=None,
    image=None,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("described")
    found = run_for("2041", "ctr", connect(f"sqlite:///{folder / 'mlflow.db'}"))
    (folder / "report.html").write_text("<p>decide</p>")
    found.log_files([folder / "report.html"], "gate")
    return found


def text(run: Any, metrics: dict[str, Any], lineage: Lineage = LINEAGE, **verdict: Any) -> str:
    decided = {**decide(metrics, checked_data(), GatePolicy()), **verdict}
    return describe(metrics, decided, lineage, run, "2041")


def test_the_numbers_stand_with_their_intervals_beside_the_champions(run: Any) -> None:
    metrics = measured()
    told = text(run, metrics).replace("\u00a0", "")  # which keeps the columns apart
    ours, theirs = metrics["candidate"]["auc"], metrics["champion"]["scores"]["auc"]
    difference = metrics["comparison"][GatePolicy().unit]
    assert told.splitlines()[0] == (
        f"AUC {fixed(ours['value'])} ({fixed(ours['low'])} to {fixed(ours['high'])}), {signed(difference['value'])} "
        f"({signed(difference['low'])} to {signed(difference['high'])}) against champion version 3"
    )
    assert (
        f"| AUC (95% interval) | {fixed(ours['value'])} ({fixed(ours['low'])} to {fixed(ours['high'])}) | "
        f"{fixed(theirs['value'])} ({fixed(theirs['low'])} to {fixed(theirs['high'])}) |"
    ) in told
    assert "**Passed the gate.** All" in told
    assert "mmctr review show --run 2041" in told
    assert "revision main (aaaaaaaaaaaa) of https://git.example.org/clicks.git" in told


def test_a_first_model_and_an_unreadable_champion_are_not_compared(run: Any) -> None:
    first = text(run, measured(World(champion_noise=None)))
    assert first.splitlines()[0].endswith(", the first model")
    assert "| | candidate |\n" in first.replace("|  |", "| |")
    unreadable = text(run, unreadable_champion(measured(), "too old"))
    assert unreadable.splitlines()[0].endswith("not compared: champion version 3 could not score this data")


def test_report_and_run_are_linked(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text(run, measured()).split("Report: `")[1].partition("`")[0]
    assert Path(path).read_text() == "<p>decide</p>"
    monkeypatch.setenv("MMCTR_MLFLOW_PUBLIC_URL", "https://mlflow.example.com")
    page = f"https://mlflow.example.com/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    assert f"[Report]({page}/artifacts/gate/report.html) · [Run]({page})." in text(run, measured())


def test_names_out_of_the_data_make_no_links_and_no_markup(run: Any) -> None:
    rules = [{"title": "Tag [free](https://evil.example)", "sentence": "<b>good</b>\n# all | `well`", "passed": True}]
    told = text(run, measured(), rules=rules)
    assert r"- Tag \[free\](https://evil.example): \<b\>good\</b\> \# all \| \`well\`" in told
    assert r"of a\*b" in text(run, measured(), replace(LINEAGE, repository="a*b"))


def test_it_fits_into_mlflows_column(run: Any) -> None:
    rules = [{"title": "Rule", "sentence": "x" * 400, "passed": True}] * 40
    assert len(text(run, measured(), rules=rules)) == 4900
