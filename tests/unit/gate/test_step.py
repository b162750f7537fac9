import dataclasses
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import Artifacts
from components.errors import StepError
from components.gate.config import GatePolicy
from components.gate.step import gate
from components.storage.files import read_json, write_json
from tests.measured import measured
from tests.traces import PIXEL, traces


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    evidence = traces()
    names = ("evaluation", "validation", "embeddings", "training", "lineage", "champion", "out")
    made = {name: tmp_path / name for name in names}
    write_json(made["evaluation"] / "metrics.json", measured())
    write_json(made["validation"] / "verdict.json", evidence.validation)
    write_json(made["embeddings"] / "manifest.json", evidence.manifest)
    write_json(made["training"] / "curves.json", evidence.curves)
    write_json(made["training"] / "summary.json", evidence.summary)
    write_json(made["lineage"] / "lineage.json", evidence.lineage)
    write_json(made["champion"] / "champion.json", {"version": "3"})
    return made


def decided(folders: dict[str, Path], policy: GatePolicy | None = None) -> dict[str, Any]:
    made = Artifacts(**{name: folder for name, folder in folders.items() if name != "out"})
    return gate(made, policy or GatePolicy(), "2041", folders["out"])


def test_verdict_and_report_are_written(folders: dict[str, Path]) -> None:
    verdict = decided(folders)
    assert verdict["passed"]
    assert verdict == read_json(folders["out"] / "verdict.json")
    assert "Better than champion version 3" in (folders["out"] / "report.html").read_text()
    assert {path.name for path in folders["out"].iterdir()} == {"verdict.json", "report.html"}


def test_a_refused_candidate_has_both_too(folders: dict[str, Path]) -> None:
    verdict = decided(folders, GatePolicy(auc_floor=0.99))
    assert not verdict["passed"]
    assert not read_json(folders["out"] / "verdict.json")["passed"]
    assert "Should not replace the champion" in (folders["out"] / "report.html").read_text()


def test_the_policy_that_was_asked_is_in_the_verdict(folders: dict[str, Path]) -> None:
    policy = GatePolicy(auc_floor=0.55, comparison="superior")
    assert decided(folders, policy)["policy"] == dataclasses.asdict(policy)


def test_a_contact_sheet_goes_into_the_page(folders: dict[str, Path]) -> None:
    decided(folders)
    assert "<img" not in (folders["out"] / "report.html").read_text()
    (folders["embeddings"] / "contact_sheet.png").write_bytes(PIXEL)
    decided(folders)
    assert 'src="data:image/jpeg;base64,' in (folders["out"] / "report.html").read_text()


@pytest.mark.parametrize("given", [date(2025, 3, 9), None], ids=["a day", "today"])
def test_the_report_bears_its_date(folders: dict[str, Path], given: date | None) -> None:
    made = Artifacts(**{name: folder for name, folder in folders.items() if name != "out"})
    days = {datetime.now(UTC).date()}
    gate(made, GatePolicy(), "2041", folders["out"], given)
    days.add(datetime.now(UTC).date())  # the day may end meanwhile
    page = (folders["out"] / "report.html").read_text()
    assert any(f"{day:%-d %B %Y}" in page for day in ([given] if given else days))


@pytest.mark.parametrize(("version", "compared"), [(None, "3"), ("4", "3"), ("4", None)])
def test_an_evaluation_against_another_champion_is_refused(
    folders: dict[str, Path], version: str | None, compared: str | None
) -> None:
    write_json(folders["champion"] / "champion.json", {"version": version})
    metrics = read_json(folders["evaluation"] / "metrics.json")
    metrics["champion"]["version"] = compared
    write_json(folders["evaluation"] / "metrics.json", metrics)
    with pytest.raises(StepError, match=f"the champion is version {version}, the evaluation compared with {compared}"):
        decided(folders)
    assert not folders["out"].exists()
