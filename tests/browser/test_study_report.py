"""A study's page in a real browser: its numbers are visible, it asks nobody for anything, and it fits a phone."""

from pathlib import Path

import pytest

from components.report.page import lookup
from studies.report import write_report
from tests.browser.chromium import Browser
from tests.study_results import examples, results

pytestmark = pytest.mark.browser
STUDIES = ("mask", "target-concat", "alignment", "ablation", "quantisation", "sequence-length")
FOUND = {study: results(study) for study in STUDIES}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("studies")
    for study, found in FOUND.items():
        arms = [arm["name"] for arm in found["arms"]] if "attention" in found["views"] else []
        write_report(found, examples(arms, rows=2), folder / study)
    return {study: folder / study / "report.html" for study in STUDIES}


@pytest.mark.parametrize("study", STUDIES)
def test_numbers_of_results_json_are_visible(browser: Browser, pages: dict[str, Path], study: str) -> None:
    browser.open(pages[study], 1180, 900)
    shown = browser.run(
        "return [...document.querySelectorAll('[data-metric]')].filter(e => e.getClientRects().length)"
        ".map(e => [e.dataset.metric, e.value])"
    )
    assert {f"arms.{n}.auc.mean" for n in range(len(FOUND[study]["arms"]))} <= {path for path, _ in shown}
    assert all(float(value) == lookup(FOUND[study], path) for path, value in shown)


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1180, "dark")])
def test_the_page_has_no_errors_requests_nothing_and_fits_a_phone(
    browser: Browser, pages: dict[str, Path], study: str, width: int, scheme: str
) -> None:
    browser.requests()
    browser.console()
    browser.open(pages[study], width, 844, scheme)
    picture = pages[study].with_name(f"{width}-{scheme}.png")
    browser.screenshot(picture)
    assert picture.stat().st_size > 20_000
    assert browser.console() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [pages[study].resolve().as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    outside = browser.run(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('svg') && !e.closest('.wide > *'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 120))"
    )
    assert outside == []


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("width", [390, 1180])
def test_labels_do_not_lie_on_each_other(browser: Browser, pages: dict[str, Path], study: str, width: int) -> None:
    """Texts of one picture, and cells of one row of a table."""
    browser.open(pages[study], width, 844)
    collisions = browser.run(
        """
        const apart = (low, high, a, b) => a[high] <= b[low] + 1 || b[high] <= a[low] + 1;
        const meet = (a, b) => !apart('left', 'right', a, b) && !apart('top', 'bottom', a, b);
        const found = [];
        const check = (parts) => parts.forEach((a, n) => parts.slice(n + 1).forEach(b => {
          if (meet(a.box, b.box)) found.push(a.text + ' | ' + b.text);
        }));
        const boxed = (nodes, boxOf) => [...nodes].filter(e => e.textContent.trim() && e.getClientRects().length)
          .map(e => ({text: e.textContent.trim(), box: boxOf(e)}));
        const words = e => {
          const range = document.createRange();
          range.selectNodeContents(e);
          return range.getBoundingClientRect();
        };
        for (const svg of document.querySelectorAll('.plot, .scale, .map'))
          check(boxed(svg.querySelectorAll('text'), e => e.getBoundingClientRect()));
        for (const row of document.querySelectorAll('tr')) {
          if (!row.closest('.wide') || innerWidth > 640)  // on a phone the first column stays while the others slide
            check(boxed(row.querySelectorAll('th, td'), words));
        }
        return found;
        """
    )
    assert collisions == []


def test_covers_are_drawn_from_their_one_copy(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["target-concat"], 1180, 900)
    sizes = browser.run(
        "return [...document.querySelectorAll('details[open] .thumb use, details[open] .map use')]"
        ".map(e => e.getBoundingClientRect().width)"
    )
    assert len(sizes) > 50
    assert min(sizes) >= 18
