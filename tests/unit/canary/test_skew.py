"""mmctr canary skew: what is wrong with served features is found, and clean days raise nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.skew import SKEWS, as_log, draw, found, make_shop, reference
from components.canary import skew as room
from components.canary.skew import skew
from components.errors import StepError
from components.request_log.writer import LogConfig, RequestLog
from components.storage.objects import LocalStore
from components.validate.config import ValidatePolicy
from pipelines.cli import app
from tests.unit.request_log.test_writer import SALT, entry

SHOP = make_shop()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference(SHOP, tmp_path_factory.mktemp("shop"))


def test_clean_days_raise_nothing(package: Path) -> None:
    assert [line for day in range(5) for line in found(SHOP, package, day, 2000)] == []


@pytest.mark.parametrize("name", SKEWS)
def test_each_skew_is_found_at_the_feature_that_has_it(name: str, package: Path) -> None:
    raised = {line.feature.split(" (")[0] for line in found(SHOP, package, 1, 2000, SKEWS[name])}
    words = {"regions": "region", "histories": "history length", "items": "items"}
    guilty = {feature for word, feature in words.items() if word in name}
    guilty |= {feature for feature in ("price", "device", "age", "hour") if feature in name}
    assert raised & guilty, raised


def test_a_feature_that_was_never_logged_and_one_that_fits_no_kind_are_named(package: Path) -> None:
    log = as_log(draw(SHOP, 1200, 7, new=True))
    raised = [line for line in skew(log.drop(columns="feature_device"), package, ValidatePolicy()) if line.skewed]
    assert [(line.feature, line.why) for line in raised] == [("device (row)", "the log has no values of it")]
    raised = [line for line in skew(log.assign(feature_hour=24), package, ValidatePolicy()) if line.skewed]
    assert raised[0].feature == "hour (row)"
    assert "must be a whole number from 0 to 23" in raised[0].why


def test_unknown_items_of_histories_are_a_share_of_all_clicks(package: Path) -> None:
    log = as_log(draw(SHOP, 1200, 7, new=True))
    raised = skew(log.assign(history_unknown=log["history_length"] // 2 + 1), package, ValidatePolicy())
    assert [line.feature for line in raised if line.skewed] == ["history"]


def test_a_ranked_request_counts_its_history_and_user_once(package: Path) -> None:
    """One request has 5,000 candidates and a short history; a thousand others have one candidate each."""
    log = as_log(draw(SHOP, 1200, 7, new=True)).assign(route="/rank")
    one = as_log(draw(SHOP, 5000, 8, new=True)).assign(
        route="/rank", position=np.arange(5000), history_length=3, feature_region="region 29", feature_age=69.0
    )
    raised = {
        line.feature
        for line in skew(pd.concat([log, one]), package, ValidatePolicy())
        if line.measure != "" and line.skewed and "lost" not in line.measure
    }
    assert raised == set()


def test_few_rows_are_not_judged(package: Path) -> None:
    with pytest.raises(StepError, match="holds 10 rows of this version; at least 1,000 are needed"):
        skew(as_log(draw(SHOP, 10, 7, new=True)), package, ValidatePolicy())


def test_the_command_reads_the_log_and_ends_with_3_for_skew(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry is replaced: the package of a version is all that is read of it."""
    from pipelines.cli import canary

    monkeypatch.setattr(room, "FEWEST", 3)
    log = RequestLog(LocalStore(tmp_path / "log"), SALT, LogConfig())
    log.start()
    log.offer(entry())
    log.close()

    class Registry:
        def version(self, number: int) -> int:
            return number

    monkeypatch.setattr(canary, "_models", lambda *_: Registry())
    monkeypatch.setattr("components.packages.fetch.local_package", lambda *_: package)
    given = ["canary", "skew", str(tmp_path / "log"), "--version", "3", "--workspace", str(tmp_path / "w")]
    said = CliRunner().invoke(app, given)
    assert said.exit_code == 3, said.output
    assert "these differ: " in said.stdout
    lines: list[dict[str, Any]] = json.loads(CliRunner().invoke(app, [*given, "--json"]).stdout)["lines"]
    assert {line["feature"] for line in lines if line["skewed"]} >= {"device (row)", "hour (row)", "history length"}
