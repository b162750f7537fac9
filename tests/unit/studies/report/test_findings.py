"""docs/explanation/findings.md is what its results generate, and what people wrote in it survives."""

import shutil
from pathlib import Path

import pytest

from benchmarks.findings import FOLDER, PAGE, README, part, write_findings, write_rankers
from benchmarks.markers import filled
from components.errors import StepError
from components.storage.files import write_json
from studies.statement import statement
from tests.study_results import results

ROOT = Path(__file__).parents[4]


def test_the_committed_findings_are_what_their_results_generate(tmp_path: Path) -> None:
    page = tmp_path / "findings.md"
    shutil.copyfile(ROOT / PAGE, page)
    write_findings(ROOT / FOLDER, page)
    assert page.read_text() == (ROOT / PAGE).read_text(), "run `python -m benchmarks.findings`"


def test_the_readmes_rankers_are_those_of_their_studies(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    shutil.copyfile(ROOT / README, readme)
    write_rankers(ROOT / FOLDER, readme)
    assert readme.read_text() == (ROOT / README).read_text(), "run `python -m benchmarks.findings`"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    write_json(tmp_path / "studies" / "mask-sample.json", results("mask"))
    (tmp_path / "findings.md").write_text("# Findings\n\nWritten by a person.\n")
    return tmp_path / "findings.md"


def test_a_new_study_gets_a_section_and_prose_stays(page: Path) -> None:
    write_findings(page.parent / "studies", page)
    text = page.read_text()
    assert text.startswith("# Findings\n\nWritten by a person.\n\n## The study of mask: movielens-100k\n")
    for sentence in statement(results("mask")):
        assert f"- {sentence}\n" in text
    page.write_text(
        text.replace("<!-- mask-sample: begin -->", "A thought.\n\n<!-- mask-sample: begin -->") + "\nEnd.\n"
    )
    write_json(page.parent / "studies" / "mask-sample.json", results("mask", seeds=1))
    write_findings(page.parent / "studies", page)
    again = page.read_text()
    assert "A thought." in again
    assert again.endswith("End.\n")
    assert "because the study has one seed:" in again
    assert again.count("## The study of mask") == 1
    write_findings(page.parent / "studies", page)
    assert page.read_text() == again


def test_a_part_says_where_it_comes_from() -> None:
    origin = part(results("mask"))[0]
    assert origin == (
        "2026-11-20, commit 0bdaf99, preset `study` `train.max_epochs=4`, seeds 1, 2, 3; AMD EPYC, 2 cores, 23.5 GB. "
        "movielens-100k, train.parquet `abababababab`: learned from 40,000 of 80,000 train rows, measured on 7,031 "
        "test rows."
    )


def test_a_part_whose_results_are_gone_is_refused(page: Path) -> None:
    write_findings(page.parent / "studies", page)
    (page.parent / "studies" / "mask-sample.json").unlink()
    with pytest.raises(StepError, match=r"has a part 'mask-sample' without .*mask-sample.json"):
        write_findings(page.parent / "studies", page)


@pytest.mark.parametrize("text", ["nothing", "<!-- a: begin -->", "<!-- a: end --><!-- a: begin -->"])
def test_a_document_without_a_place_is_refused(text: str) -> None:
    with pytest.raises(StepError, match=r"no place for the table 'a'"):
        filled(text, "a", [], Path("page.md"))
