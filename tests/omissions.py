"""Leaves out the tests whose program this machine lacks, and says which ones, and how to have them.

A test says what it needs by its marker, `browser`, `postgres` or `hosts`; a test that uses the fixture
`mlflow_on_postgres` has the second one by itself. With MMCTR_ALL_TESTS=1, as in `.ci/run`, a test that would be left
out fails instead.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from infra.local.postgres import find_program
from tests.browser.chromium import BROWSERS, DRIVER, find
from tests.hosts import find_namespaces

ALL_TESTS = "MMCTR_ALL_TESTS"
LEFT_OUT = "left out: "


@dataclass(frozen=True)
class Need:
    what: str
    packages: str  # of Debian and Ubuntu
    find: Callable[[], object]  # fails where the program is missing

    def is_met(self) -> bool:
        try:
            self.find()
        except (RuntimeError, SystemExit):
            return False
        return True

    def remedy(self) -> str:
        return f"{self.what} (Debian and Ubuntu: apt-get install {self.packages})"


NEEDS = {
    "browser": Need("Chromium and chromedriver", "chromium chromium-driver", lambda: (find(*BROWSERS), find(DRIVER))),
    "hosts": Need("Linux, root, and network namespaces", "iproute2 util-linux", find_namespaces),
    "postgres": Need("PostgreSQL", "postgresql", lambda: find_program("pg_ctl")),
}


class Omissions:
    """The hooks. What is missing is found once, when the tests are collected."""

    def __init__(self) -> None:
        self.missing = {marker: need.remedy() for marker, need in NEEDS.items() if not need.is_met()}

    def pytest_report_header(self) -> list[str]:
        return [
            f"{LEFT_OUT}every test marked {marker}, for want of {remedy}" for marker, remedy in self.missing.items()
        ]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if "mlflow_on_postgres" in getattr(item, "fixturenames", ()):
                item.add_marker("postgres")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before the fixtures, which would start the program."""
        for marker, remedy in self.missing.items():
            if item.get_closest_marker(marker) is None:
                continue
            if os.environ.get(ALL_TESTS) == "1":
                pytest.fail(f"{ALL_TESTS}=1 allows no test to be left out, and this one needs {remedy}", pytrace=False)
            pytest.skip(f"{LEFT_OUT}needs {remedy}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line for each missing program, after all others: how many tests of which files."""
        left_out: dict[str, Counter[str]] = {}
        for report in terminalreporter.stats.get("skipped", []):
            _, found, reason = str(report.longrepr[2]).partition(LEFT_OUT)
            if found:
                left_out.setdefault(reason, Counter())[report.nodeid.partition("::")[0]] += 1
        for reason, files in sorted(left_out.items()):
            names = ", ".join(f"{file} ({count})" for file, count in sorted(files.items()))
            terminalreporter.write_line(f"{LEFT_OUT}{files.total()} tests, {reason}: {names}", yellow=True, bold=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Omissions(), "omissions")
