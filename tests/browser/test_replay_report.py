"""The page of a replay in a real browser: its numbers are visible, it asks nobody for anything, and it fits a phone."""

from pathlib import Path

import pytest

from components.report.page import lookup
from studies.replay.report import write_report
from tests.browser.chromium import Browser
from tests.replay_results import results

pytestmark = pytest.mark.browser
FOUND = results()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("replay") / "report.html"
    write_report(FOUND, out)
    return out


def test_numbers_of_results_json_are_visible(browser: Browser, page: Path) -> None:
    browser.open(page, 1280, 900)
    shown = browser.run(
        "return [...document.querySelectorAll('[data-metric]')].filter(e => e.getClientRects().length)"
        ".map(e => [e.dataset.metric, e.value])"
    )
    policies = range(len(FOUND["policies"]))
    wanted = {f"policies.{n}.{field}" for n in policies for field in ("auc.value", "calibration_error", "cpu_minutes")}
    assert wanted <= {path for path, _ in shown}
    assert all(float(value) == lookup(FOUND, path) for path, value in shown)


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_the_page_has_no_errors_requests_nothing_and_fits_a_phone(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.requests()
    browser.console()
    browser.open(page, width, 844, scheme)
    assert browser.console() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    outside = browser.run(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('svg') && !e.closest('.wide > *'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 120))"
    )
    assert outside == []


@pytest.mark.parametrize("width", [390, 1280])
def test_texts_of_a_picture_do_not_lie_on_each_other(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width, 844)
    collisions = browser.run(
        """
        const found = [];
        for (const svg of document.querySelectorAll('.plot, .scale')) {
          const shown = e => e.textContent.trim() && e.getClientRects().length;
          const texts = [...svg.querySelectorAll('text')].filter(shown);
          const boxes = texts.map(e => e.getBoundingClientRect());
          boxes.forEach((a, n) => boxes.slice(n + 1).forEach((b, k) => {
            if (a.right > b.left + 1 && b.right > a.left + 1 && a.bottom > b.top + 1 && b.bottom > a.top + 1)
              found.push(texts[n].textContent + ' | ' + texts[n + 1 + k].textContent);
          }));
        }
        return found;
        """
    )
    assert collisions == []
