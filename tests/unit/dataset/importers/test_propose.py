"""`mmctr init`: what it makes of files that it has never seen, what it is unsure of, and what it finds suspicious."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from components.dataset.importers import LogImport, import_log, propose
from components.dataset.sample.shop import write_shop
from components.errors import StepError
from components.schema.declared import read_schema_file
from pipelines.cli import app


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder, visitors=60, items=40, events=1_500)
    return folder


def test_a_shops_files_become_a_file_that_an_import_takes(shop: Path, tmp_path: Path) -> None:
    proposal = propose([shop])
    assert yaml.safe_load(proposal.text) == {
        "log": {
            "user": "visitor",
            "item": "sku",
            "time": "at",
            "label": "clicked",
            "title": "name",
            "tags": "tags",
        },
        "features": [
            {"name": "device", "of": "row", "kind": "category"},
            {"name": "age", "of": "user", "kind": "number"},
            {"name": "brand", "of": "item", "kind": "category"},
            {"name": "price", "of": "item", "kind": "number"},
        ],
    }
    assert (proposal.log, proposal.items, proposal.covers) == (shop / "clicks.csv", shop / "items.csv", shop / "covers")
    assert (proposal.unsure, proposal.suspicious, proposal.problem) == ((), (), "")
    (tmp_path / "features.yaml").write_text(proposal.text)
    read_schema_file(tmp_path / "features.yaml")
    import_log(LogImport(proposal.log, tmp_path / "features.yaml", tmp_path / "out", proposal.items, proposal.covers))


def test_five_rows_are_shown_as_the_model_will_see_them(shop: Path) -> None:
    rows = propose([shop]).rows
    assert len(rows) == 5
    for row in rows:
        assert list(row) == ["user", "history", "item", "device", "age", "brand", "price", "label"]
        assert row["user"].startswith("v-")
        raw, code = row["device"].split(" → ")
        assert raw in ("phone", "desktop", "tablet")
        assert int(code) in (2, 3, 4)  # 0 is missing, 1 is unknown
        assert 0 <= float(row["price"].split(" → ")[1]) <= 16


def test_the_same_files_one_by_one(shop: Path) -> None:
    assert propose([shop / "covers", shop / "items.csv", shop / "clicks.csv"]).text == propose([shop]).text


def log_of(folder: Path, **columns: object) -> Path:
    """A log of 200 rows with further columns."""
    rows = range(200)
    frame = {
        "user_id": [k % 20 for k in rows],
        "item_id": [k * 7 % 30 for k in rows],
        "timestamp": [1_700_000_000 + 60 * k for k in rows],
        "label": [int(k % 3 == 0) for k in rows],
        **columns,
    }
    pq.write_table(pa.Table.from_pandas(pd.DataFrame(frame), preserve_index=False), folder / "log.parquet")
    return folder / "log.parquet"


SUSPICIOUS = {
    "the label": ("bought", [int(k % 3 == 0) for k in range(200)], "the label in disguise?"),
    "the label in words": ("state", ["paid" if k % 3 == 0 else "open" for k in range(200)], "the label in disguise?"),
    "a constant": ("country", ["de"] * 200, "it has one value in all rows, and a constant says nothing"),
    "an id": ("request", [f"r{k:04d}" for k in range(200)], "200 of 200 values are different: it looks like an id"),
    "nothing": ("note", pd.Series([None] * 200, dtype="string"), "it is empty"),
    "nearly nothing": ("coupon", pd.Series(["a", "b"] + [None] * 198, dtype="string"), "99% of it is missing"),
    "a reserved name": ("item_seq", list(range(200)), "every data set has a column item_seq of its own"),
}


@pytest.mark.parametrize(("column", "values", "words"), SUSPICIOUS.values(), ids=SUSPICIOUS)
def test_suspicious_columns_are_named_and_left_out(tmp_path: Path, column: str, values: object, words: str) -> None:
    proposal = propose([log_of(tmp_path, **{column: values})])
    assert [line for line in proposal.suspicious if line.startswith(f"{column}: ") and words in line]
    assert f"# - {{name: {column}, " in proposal.text
    assert yaml.safe_load(proposal.text)["features"] in ([], None)


def test_what_is_a_guess_is_said(tmp_path: Path) -> None:
    log = log_of(tmp_path, stars=[k * k // 7 % 5 for k in range(200)])
    table = pq.read_table(log).rename_columns(["who", "what", "happened", "liking", "stars"])
    pq.write_table(table, log)
    proposal = propose([log])
    assert yaml.safe_load(proposal.text)["log"] == {"user": "what", "item": "who", "time": "happened"}
    said = " ".join(proposal.unsure)
    assert "log.user" in said
    assert "no column looks like the label" in said
    assert "stars: 5 different whole numbers; a number if their order counts" in said


def test_the_item_table_may_call_its_id_otherwise(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_text((shop / "clicks.csv").read_text())
    (tmp_path / "items.csv").write_text((shop / "items.csv").read_text().replace("sku,", "code,", 1))
    proposal = propose([tmp_path])
    assert yaml.safe_load(proposal.text)["log"]["item_table_id"] == "code"
    assert proposal.problem == ""


def test_long_texts_are_content_beside_the_title_and_the_covers(shop: Path, tmp_path: Path) -> None:
    for file in ("clicks.csv", "covers"):
        (tmp_path / file).symlink_to(shop / file)
    lines = (shop / "items.csv").read_text().splitlines()
    said = [f"{line},Thing number {k} is described here at some length and {k * k}" for k, line in enumerate(lines[1:])]
    (tmp_path / "items.csv").write_text("\n".join([f"{lines[0]},description", *said]))
    proposal = propose([tmp_path])
    assert proposal.problem == ""
    declared = yaml.safe_load(proposal.text)["features"]
    assert [(one["name"], one["kind"]) for one in declared if one["kind"] in ("text", "image")] == [
        ("description", "text"),
        ("item_title", "text"),
        ("covers", "image"),
    ]


WRONG = {
    "nothing there": (None, "is not there: give the folder or the files"),
    "no table": ("", "holds no Parquet and no CSV file"),
    "no rows": ("user,item,time\n", "has no rows"),
    "no time": ("user,item\n1,2\n2,1\n", "no column looks like the time: it has user, item"),
    "one user": ("user,item,time\n1,2,1700000000\n", "no column looks like the user"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    folder = tmp_path / "raw"
    if content is not None:
        folder.mkdir()
        if content:
            (folder / "log.csv").write_text(content)
    with pytest.raises(StepError) as caught:
        propose([folder])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_writes_the_file_and_replaces_none(tmp_path: Path) -> None:
    log_of(tmp_path)
    done = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert f"then: mmctr import log {tmp_path}/log.parquet --out DATASET" in done.output
    (tmp_path / "features.yaml").write_text("mine")
    again = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert "features.yaml is there already: give --force to replace it" in str(again.exception)
    assert (tmp_path / "features.yaml").read_text() == "mine"
    assert CliRunner().invoke(app, ["init", str(tmp_path), "--force"]).exit_code == 0
    assert (tmp_path / "features.yaml").read_text().startswith("# Proposed by")
