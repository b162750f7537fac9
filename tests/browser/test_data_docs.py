"""The Data Docs of a validation in a real browser: they load nothing from the network, and they fit a phone."""

from pathlib import Path

import pytest

from components.errors import StepError
from components.validate.config import ValidatePolicy
from components.validate.step import validate
from tests.browser.chromium import Browser
from tests.unit.validate.damages import swap_files
from tests.unit.validate.good_data import write_all

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of data with every optional part, compared with a champion, and with a rule that stops the run."""
    folder = tmp_path_factory.mktemp("docs")
    good = write_all(folder)
    swap_files("train.parquet", "valid.parquet")(good.data)
    with pytest.raises(StepError):
        validate(good.data, good.champion, ValidatePolicy(), folder / "out")
    return folder / "out" / "data_docs.html"


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1180, "dark")])
def test_the_page_has_no_errors_requests_nothing_and_fits_a_phone(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.requests()
    browser.console()
    browser.open(page, width, 844, scheme)
    picture = page.with_name(f"{width}-{scheme}.png")
    browser.screenshot(picture)
    assert picture.stat().st_size > 20_000
    assert browser.console() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width
