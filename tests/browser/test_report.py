"""The report in a real browser: it shows the numbers of metrics.json, asks nobody for anything, and fits a phone."""

import re
from pathlib import Path
from typing import Any

import pytest

from components.gate.config import GatePolicy
from components.gate.verdict import decide
from components.report.page import lookup, render
from tests.browser.chromium import Browser, find
from tests.measured import World, measured, unreadable_champion
from tests.traces import traces

pytestmark = pytest.mark.browser
CASES = {
    "better": measured(),
    "worse": measured(World(candidate_noise=1.4, champion_noise=0.4)),
    "first": measured(World(champion_noise=None)),
    "unreadable": unreadable_champion(measured(), "/a/very/long/path/" + "x" * 120 + ".safetensors is truncated"),
}
VIEWS = [(390, "light"), (390, "dark"), (1180, "light"), (1180, "dark")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    for name, metrics in CASES.items():
        page = render(metrics, decide(metrics, traces().validation, GatePolicy()), traces())
        (folder / f"{name}.html").write_text(page)
    return {name: folder / f"{name}.html" for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_numbers_of_metrics_json_are_visible(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], 1180, 900)
    shown = browser.run(
        "return [...document.querySelectorAll('[data-metric]')].filter(e => e.checkVisibility())"
        ".map(e => [e.dataset.metric, e.value, e.innerText])"
    )
    assert len(shown) > 40
    for path, value, text in shown:
        truth = lookup(CASES[name], path)
        assert float(value) == truth, path
        assert re.search(r"\d", text), path
    texts = {path: text for path, _, text in shown}
    assert texts["candidate.auc.value"] in (
        f"{CASES[name]['candidate']['auc']['value']:.4f}",
        f"{100 * CASES[name]['candidate']['auc']['value']:.1f}%",
    )
    assert texts["rows"] == "4,000"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_the_page_has_no_errors_requests_nothing_and_fits_a_phone(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    browser.requests()
    browser.console()
    browser.open(pages[name], width, 844, scheme)
    picture = pages[name].with_name(f"{name}-{width}-{scheme}.png")
    browser.screenshot(picture)
    assert picture.stat().st_size > 20_000
    assert browser.console() == []
    asked = [url for url in browser.requests() if not url.startswith("data:")]
    assert asked == [pages[name].resolve().as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    outside = browser.run(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 120))"
    )
    assert outside == []


def test_a_request_and_an_error_would_be_noticed(browser: Browser, tmp_path: Path) -> None:
    """The two tests above are worth nothing if the logs stay empty for a page that does both."""
    (tmp_path / "loud.html").write_text(
        "<body style='width:2000px'><img src='http://127.0.0.1:9/x.png'><script>throw Error('loud')</script>"
    )
    browser.requests()
    browser.console()
    browser.open(tmp_path / "loud.html", 390, 844)
    assert any("127.0.0.1:9" in url for url in browser.requests())
    assert any("loud" in entry["message"] for entry in browser.console())
    assert browser.run("return document.documentElement.scrollWidth") > 390


def test_a_missing_browser_is_said_with_its_remedy() -> None:
    with pytest.raises(RuntimeError, match=r"no-such-browser is on the PATH: install it .*apt-get install chromium"):
        find("no-such-browser")


def test_dark_and_light_differ(browser: Browser, pages: dict[str, Path]) -> None:
    colours: dict[str, Any] = {}
    for scheme in ("light", "dark"):
        browser.open(pages["better"], 390, 844, scheme)
        colours[scheme] = browser.run("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    assert colours["light"][0] != colours["dark"][0]
    assert colours["light"][1] != colours["dark"][1]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_sign_of_trouble_is_seen_with_its_advice_and_the_others_unfold(
    browser: Browser, pages: dict[str, Path], width: int
) -> None:
    browser.open(pages["better"], width, 844)
    seen = (
        "return [...document.querySelectorAll('[data-finding]')].filter(e => e.checkVisibility()).map(e => e.innerText)"
    )
    (warning,) = browser.run(seen)
    assert "Content lowers the AUC" in warning
    assert "What to do:" in warning
    browser.run("document.querySelector('[aria-labelledby=diagnosis] summary').click()")
    assert len(browser.run(seen)) == 7
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_held_checks_unfold_without_a_script(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["better"], 390, 844)
    visible = "return document.querySelector('details table').checkVisibility()"
    assert browser.run(visible) is False
    browser.run("document.querySelector('summary').click()")
    assert browser.run(visible) is True
