"""`make test` on a machine without Chromium or PostgreSQL: what is left out is named, and can be forbidden."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = """
import pytest
from infra.local import postgres
from tests import omissions

def nowhere(name):
    raise SystemExit(f"PostgreSQL's {name} is not here")

omissions.find_program = nowhere
pytest_plugins = ["tests.omissions"]

@pytest.fixture
def mlflow_on_postgres():
    raise AssertionError("started although it is not there")
"""
TESTS = """
import pytest

@pytest.mark.browser
def test_page(): ...

def test_server(mlflow_on_postgres): ...

@pytest.mark.postgres
def test_database(): ...

def test_plain(): ...
"""
MARKERS = "[pytest]\nmarkers =\n    browser: x\n    postgres: x\n"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name, text in {"conftest.py": CONFTEST, "test_it.py": TESTS, "pytest.ini": MARKERS}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run_tests(suite: Path, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """With no program on the PATH."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": str(suite / "empty"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=suite,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "two workers"])
def test_what_is_left_out_is_named_with_its_remedy_and_the_run_passes(suite: Path, options: tuple[str, ...]) -> None:
    run = run_tests(suite, *options, MMCTR_ALL_TESTS="")
    assert run.returncode == 0, run.stdout
    first, *_, browser, postgres, total = (
        line for line in run.stdout.splitlines() if "left out" in line or "==" in line
    )
    assert "test session starts" in first
    assert browser == (
        "left out: 1 tests, needs Chromium and chromedriver (Debian and Ubuntu: apt-get install chromium "
        "chromium-driver): test_it.py (1)"
    )
    assert (
        postgres
        == "left out: 2 tests, needs PostgreSQL (Debian and Ubuntu: apt-get install postgresql): test_it.py (2)"
    )
    assert "1 passed, 3 skipped" in total
    assert "left out: every test marked browser, for want of Chromium and chromedriver" in run.stdout


def test_nothing_is_left_out_where_that_is_forbidden(suite: Path) -> None:
    run = run_tests(suite, MMCTR_ALL_TESTS="1")
    assert run.returncode == 1
    assert ("1 passed" in run.stdout, "3 errors" in run.stdout) == (True, True)
    assert (
        "allows no test to be left out, and this one needs PostgreSQL (Debian and Ubuntu: apt-get install" in run.stdout
    )


def test_only_what_is_missing_is_left_out(suite: Path) -> None:
    for program in ("chromium", "chromedriver"):
        (suite / "bin").mkdir(exist_ok=True)
        (suite / "bin" / program).touch(mode=0o755)
    run = run_tests(suite, PATH=str(suite / "bin"), MMCTR_ALL_TESTS="")
    assert "2 passed, 2 skipped" in run.stdout
    assert "Chromium" not in run.stdout


def test_ci_forbids_it() -> None:
    assert "MMCTR_ALL_TESTS=1" in (ROOT / ".ci/run").read_text()
