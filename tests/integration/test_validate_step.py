"""What the step does with a finding: stop, move rows aside, warn; and what it writes, whatever it finds."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from components.errors import StepError
from components.storage.files import read_json, write_json
from components.validate.config import ValidatePolicy
from components.validate.step import validate
from pipelines.cli.data import data_app
from tests.unit.validate import damages as by
from tests.unit.validate.good_data import Good, edit, ints, tables_judged_once, with_column, write_all

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def judged_once() -> Iterator[None]:
    with tables_judged_once():
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return write_all(tmp_path_factory.mktemp("good"))


@pytest.fixture
def data(good: Good, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good.data, tmp_path / "data"))


def rule(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    return next(rule for rule in verdict["rules"] if rule["name"] == name)


def double_some(rows: int) -> by.Damage:
    return edit("train", lambda t: pa.concat_tables([t, t.slice(100, rows)]))


def test_few_bad_rows_are_moved_aside_and_the_run_goes_on(data: Path, good: Good, tmp_path: Path) -> None:
    double_some(5)(data)
    verdict = validate(data, good.no_champion, ValidatePolicy(), tmp_path / "out")
    assert (verdict["passed"], verdict["status"]) == (True, "quarantined")
    assert verdict["quarantined"] == {"train": 5, "valid": 0, "test": 0}
    rows = read_json(tmp_path / "out" / "quarantine.json")
    assert rows == {"train": [1500, 1501, 1502, 1503, 1504], "valid": [], "test": []}
    kept = pq.read_table(tmp_path / "out" / "quarantine.parquet")
    assert kept.column("split").to_pylist() == ["train"] * 5
    assert kept.column("row").to_pylist() == rows["train"]
    assert kept.column("rules").to_pylist() == [["rows-distinct"]] * 5
    original = pq.read_table(data / "train.parquet").slice(1500)
    assert kept.select(original.column_names).to_pylist() == original.to_pylist()


def test_rows_of_several_splits_and_reasons_are_moved_aside_together(data: Path, good: Good, tmp_path: Path) -> None:
    edit("test", lambda t: t.drop_columns(["label"]))(data)
    double_some(3)(data)
    edit("valid", lambda t: pa.concat_tables([by.travel(t.slice(0, 4)), t.slice(4)]))(data)
    edit("test", lambda t: pa.concat_tables([t, t.slice(0, 1)]))(data)
    verdict = validate(data, good.no_champion, ValidatePolicy(), tmp_path / "out")
    clicked = int(ints(pq.read_table(data / "valid.parquet").slice(0, 4), "label").sum())
    assert verdict["quarantined"] == {"train": 3, "valid": clicked, "test": 1}
    kept = pq.read_table(tmp_path / "out" / "quarantine.parquet")
    assert kept.column("label").null_count == 1  # the public test has no label
    assert {reason for rules in kept.column("rules").to_pylist() for reason in rules} <= {
        "rows-distinct",
        "target-not-in-history",
    }


def test_many_bad_rows_stop_the_run_and_name_the_rule_behind_it(data: Path, good: Good, tmp_path: Path) -> None:
    double_some(200)(data)
    with pytest.raises(StepError, match=r"quarantine-small(.|\n)*rows-distinct.*200 rows do not"):
        validate(data, good.no_champion, ValidatePolicy(), tmp_path / "out")
    verdict = read_json(tmp_path / "out" / "verdict.json")
    assert (verdict["passed"], verdict["status"]) == (False, "stopped")
    found = rule(verdict, "rows-distinct")
    assert found["count"] == 200
    assert len(found["examples"]) == 10
    assert found["examples"][0].keys() >= {"split", "row", "same_as_row", "user_id", "item_id"}


def test_a_severity_of_the_policy_is_obeyed(data: Path, good: Good, tmp_path: Path) -> None:
    edit("train", by.right_pad_first(3))(data)
    with pytest.raises(StepError, match="left-padding"):
        validate(data, good.no_champion, ValidatePolicy(), tmp_path / "a")
    warned = validate(data, good.no_champion, ValidatePolicy(severities=("left-padding=warn",)), tmp_path / "b")
    assert warned["status"] == "warned"
    moved = validate(data, good.no_champion, ValidatePolicy(severities=("left-padding=quarantine",)), tmp_path / "c")
    assert moved["status"] == "quarantined"
    assert read_json(tmp_path / "c" / "quarantine.json")["train"] == [0, 1, 2]


WARNINGS = {
    "no-extra-columns": (
        edit("train", lambda t: with_column(t, "position", np.arange(t.num_rows) % 7)),
        "position",
        ValidatePolicy(),
    ),
    "images-whole": (by.pictures(lambda i, c: c[:-99] if i == 7 else c), "item 7: ", ValidatePolicy()),
    "item-ctr-bounded": (lambda _: None, "item click rate", ValidatePolicy(max_item_ctr_auc=0.5)),
    "items-drift": (
        by.everywhere(by.mirror_ids, ("train",)),
        "items",
        ValidatePolicy(severities=("levels-agree=warn", "content-fits-items=warn", "labels-carry-signal=warn")),
    ),
    "label-rate-drift": (by.everywhere(by.lose_negatives(0.3), ("train", "valid", "test")), "label", ValidatePolicy()),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_lets_the_run_go_on_and_is_shown(name: str, data: Path, good: Good, tmp_path: Path) -> None:
    damage, words, policy = WARNINGS[name]
    damage(data)
    verdict = validate(data, good.champion, policy, tmp_path / "out")
    assert verdict["status"] == "warned"
    found = rule(verdict, name)
    assert not found["passed"]
    assert words in found["message"]
    assert f'id="finding-{name}"' in (tmp_path / "out" / "data_docs.html").read_text()


def test_optional_parts_that_are_absent_are_said_to_be_absent(data: Path, good: Good, tmp_path: Path) -> None:
    edit("test", lambda t: t.drop_columns(["label"]))(data)
    edit("item_feature", lambda t: t.select(t.column_names[:5]))(data)
    (data / "item_info.parquet").unlink()
    (data / "item_images-00000.tar").unlink()
    verdict = validate(data, good.no_champion, ValidatePolicy(), tmp_path / "out")
    assert verdict["status"] == "clean"
    for name in ("images-present", "images-decodable", "embeddings-finite", "item-info-rows"):
        assert "optional" in rule(verdict, name)["not_measured"]
    assert "no champion yet" in rule(verdict, "likes-drift")["not_measured"]
    assert rule(verdict, "label-rate")["passed"]
    assert not rule(verdict, "label-rate")["not_measured"]


def test_two_runs_write_the_same_bytes(good: Good, tmp_path: Path) -> None:
    for out in ("a", "b"):
        validate(good.data, good.champion, ValidatePolicy(), tmp_path / out)
    for file in ("verdict.json", "statistics.json", "quarantine.json", "data_docs.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_data_docs_are_one_file_that_tells_all(good: Good, tmp_path: Path) -> None:
    validate(good.data, good.champion, ValidatePolicy(), tmp_path)
    page = (tmp_path / "data_docs.html").read_text()
    for outside in ("http:", "https:", "<script", "<link", "src=", "url(", "@import"):
        assert outside not in page
    for told in ("valid in train", "item click rate", "unseen items", "users-apart", "Great Expectations 1."):
        assert told in page
    assert len(page) < 200_000


def test_the_files_hold_strict_json_that_the_contract_names(good: Good, tmp_path: Path) -> None:
    validate(good.data, good.no_champion, ValidatePolicy(), tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    verdict = json.loads((tmp_path / "verdict.json").read_text(), parse_constant=refuse)
    assert verdict.keys() >= {"passed", "status", "rules", "quarantined"}
    for found in verdict["rules"]:
        assert found.keys() >= {"name", "severity", "passed", "observed", "limit", "count", "examples", "message"}
    statistics = json.loads((tmp_path / "statistics.json").read_text(), parse_constant=refuse)
    assert statistics["rows"] == {"train": 1500, "valid": 400, "test": 600}
    assert sum(statistics["train"]["likes_level"]) == 1500
    assert len((tmp_path / "statistics.json").read_bytes()) < 100_000


def test_a_first_run_cannot_drift_and_a_second_compares(good: Good, tmp_path: Path) -> None:
    verdict = validate(good.data, good.champion, ValidatePolicy(), tmp_path)
    drift = [found for found in verdict["rules"] if found["table"] == "drift"]
    measured = [found for found in drift if found["observed"] is not None]
    assert all(found["observed"] == pytest.approx(0, abs=1e-9) for found in measured)
    undeclared = {found["name"] for found in drift if found["observed"] is None}
    assert undeclared == {"features-drift", "features-break"}


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        ('{"format": 99, "train": {}}', "has format 99"),
        (None, "statistics.json is missing"),
        ("[]", "has format None"),
        ("{", "is not JSON"),
        ({"items_seen": "not a bitmap!"}, "Incorrect padding|while decompressing"),
        ({"likes_level": [1, 2]}, "shape"),
        ({"tags": None}, "NoneType"),
    ],
    ids=["other format", "missing", "no object", "cut", "no bitmap", "other bins", "null"],
)
def test_a_champion_without_usable_statistics_stops_no_run(
    statistics: dict[str, Any] | str | None, words: str, good: Good, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    champion = Path(shutil.copytree(good.champion, tmp_path / "champion"))
    path = champion / "package" / "statistics.json"
    before = read_json(path)
    if statistics is None:
        path.unlink()
    elif isinstance(statistics, str):
        path.write_text(statistics)
    else:
        write_json(path, {**before, "train": {**before["train"], **statistics}})
    verdict = validate(good.data, champion, ValidatePolicy(), tmp_path / "out")
    assert (verdict["passed"], verdict["status"]) == (True, "clean")
    drift = [found for found in verdict["rules"] if found["table"] == "drift"]
    reasons = {found["not_measured"] for found in drift}
    assert len(drift) >= 8
    assert len(reasons) == 1
    assert re.fullmatch(f"no statistics of the champion: .*({words}).*", reasons.pop())
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "validate measures no drift against champion 7" in warning.message


def test_no_dataset_is_one_clear_error(good: Good, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="the ingest step did not finish"):
        validate(tmp_path / "nothing", good.no_champion, ValidatePolicy(), tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StepError, match=r"files-present.*train.parquet is not there"):
        validate(tmp_path / "empty", good.no_champion, ValidatePolicy(), tmp_path / "out")


def test_the_command_says_what_a_run_would_say(data: Path, good: Good, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def check(*options: str) -> Result:
        return CliRunner().invoke(data_app, ["check", str(data), "--out", str(out), *options])

    assert f"clean: read {out / 'data_docs.html'}" in check("--champion", str(good.champion)).output
    few = ("--set", "validate.min_rows=1000")
    warned = check(*few, "--set", "validate.severities=split-size=warn")
    assert "warn: split-size: expected that every split has enough rows" in warned.output
    stopped = check(*few).exception
    assert isinstance(stopped, StepError)
    assert "the data breaks a rule that stops a run" in str(stopped)
    assert "--set validate.severities=split-size=warn" in str(stopped)
    assert isinstance(check("--set", "validate.min_rows=many").exception, ValueError)
