"""Whatever is wrong with a raw log is told in one line that names the file, the row, the value and what is allowed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.dataset.importers import LogImport, import_log
from components.errors import StepError
from tests.raw_log import COLUMNS, FEATURES, write_clicks, write_features, write_items

HEADER = "visitor,sku,at,clicked,device\n"
GOOD = "v1,sku-1,1700000000,1,phone\n"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_clicks(tmp_path)
    write_items(tmp_path)
    write_features(tmp_path)
    return tmp_path


def refused(folder: Path, **changes: Any) -> str:
    given = {"log": folder / "clicks.csv", "features": folder / "features.yaml", "items": folder / "items.csv"}
    with pytest.raises((StepError, ValueError)) as caught:
        import_log(LogImport(**{**given, "out": folder / "out", **changes}))
    assert not (folder / "out").exists()
    assert "\n" not in str(caught.value)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    return str(caught.value)


LOGS = {
    "no rows": (HEADER, "clicks.csv has no rows"),
    "nothing": ("", "clicks.csv"),
    "a column missing": (
        "visitor,sku,clicked,device\n",
        "lacks the column 'at' (log.time of features.yaml): it has visi",
    ),
    "a feature missing": ("visitor,sku,at,clicked\nv,sku-1,5,1\n", "lacks the column 'device' (the feature 'device')"),
    "no user": (
        HEADER + GOOD + ",sku-1,1700000000,1,phone\n",
        "row 2: visitor = nothing must be a text or a whole number",
    ),
    "a blank item": (HEADER + "v1, ,1700000000,1,phone\n", "row 1: sku = ' ' must be a text or a whole number"),
    "no time": (
        HEADER + GOOD + "v1,sku-1,,1,phone\n" * 3,
        "row 2: at = nothing must be a time: a number since 1970 in",
    ),
    "a time that is a word": (HEADER + GOOD + "v1,sku-1,soon,1,phone\n", "row 2: at = 'soon' must be a time"),
    "times that are words": (
        HEADER + "v1,sku-1,soon,1,phone\n",
        "row 1: at = 'soon' must be a time such as 2026-11-28",
    ),
    "a time and a number": (HEADER + GOOD + "v1,sku-1,2026-11-28,1,phone\n", "row 2: at = '2026-11-28' must be a time"),
    "an infinite time": (HEADER + GOOD + "v1,sku-1,inf,1,phone\n", "row 2: at = 'inf' must be a time"),
    "a time before 1970": (HEADER + GOOD + "v1,sku-1,-5,1,phone\n", "row 2: at = '-5' must be a time"),
    "two units": (
        HEADER + GOOD + "v1,sku-1,1700000000000,1,phone\n",
        "at runs from 1700000000, as in seconds, to 1700000000000, as in milliseconds; must be in one unit for all",
    ),
    "a label beyond 1": (HEADER + GOOD + "v1,sku-1,1700000001,5,phone\n", "row 2: clicked = '5' must be 0 or 1"),
    "no label": (HEADER + "v1,sku-1,1700000001,,phone\n", "row 1: clicked = nothing must be 0 or 1"),
    "a label in words": (HEADER + "v1,sku-1,1700000001,yes,phone\n", "row 1: clicked = 'yes' must be 0 or 1"),
    "half a click": (HEADER + "v1,sku-1,1700000001,0.5,phone\n", "row 1: clicked = '0.5' must be 0 or 1"),
    "no clicks": (HEADER + "v1,sku-1,1700000000,0,phone\n" * 4, "has no clicks: each of its 4 labels is 0"),
    "clicks alone": (
        HEADER + "".join(f"v1,sku-1,{k},1,phone\n" for k in range(9)),
        "Leave log.label out of features.yaml",
    ),
    "one moment": (
        HEADER + GOOD * 9 + "v1,sku-1,1700000000,0,phone\n",
        "10 events at 1 moments can't be split by time",
    ),
    "other items": (
        HEADER + GOOD + "v1,x,1700000000,1,phone\nv1,y,1700000001,0,\n",
        "only 1 of 3 rows are of items in",
    ),
    "users with one click": (
        HEADER + "".join(f"v{k},sku-1,{k},{k % 2},phone\n" for k in range(40)),
        "train would have no rows, because nobody in it had clicked 1 items before",
    ),
    "an open quote": (HEADER + GOOD * 3 + '"v1,sku-1,1700000000,1,phone\n', "clicks.csv"),
    "rows of several lengths": (HEADER + GOOD * 3 + "v1,sku-1,1700000000,1,phone,5,6,7\n", "clicks.csv"),
    "bytes": ("\x00\x01\x02", "clicks.csv"),
}


@pytest.mark.parametrize(("log", "message"), LOGS.values(), ids=LOGS)
def test_of_the_log(raw: Path, log: str, message: str) -> None:
    (raw / "clicks.csv").write_text(log)
    assert message in refused(raw)


ITEMS = {
    "an item twice": (
        "sku-1,a,1,Acme,oak\nsku-1,b,1,Acme,oak\n",
        "items.csv: sku 'sku-1' stands there 2 times; keep one",
    ),
    "an item without an id": (",a,1,Acme,oak\n", "items.csv, row 1: sku = nothing must be a text or a whole number"),
    "a price in words": ("sku-1,a,cheap,Acme,oak\n", "items.csv, row 1: price = 'cheap' must be a number, or nothing"),
    "no items": ("", "only 0 of 600 rows are of items in"),
}


@pytest.mark.parametrize(("items", "message"), ITEMS.values(), ids=ITEMS)
def test_of_the_items(raw: Path, items: str, message: str) -> None:
    (raw / "items.csv").write_text("sku,name,price,brand,materials\n" + items)
    assert message in refused(raw)


def test_of_an_item_table_without_the_id(raw: Path) -> None:
    (raw / "items.csv").write_text("id,name,price,brand,materials\n")
    assert "items.csv lacks the column 'sku' (log.item of features.yaml): it has id, name" in refused(raw)


def no_covers(raw: Path) -> dict[str, Any]:
    (raw / "covers").mkdir()
    (raw / "covers/sku1.jpg").write_bytes(b"jpg")
    return {"covers": raw / "covers"}


def both_kinds(raw: Path) -> dict[str, Any]:
    (raw / "both").mkdir()
    (raw / "both/a.csv").write_text(HEADER)
    pq.write_table(pa.table({"visitor": [1]}), raw / "both/b.parquet")
    return {"log": raw / "both"}


def empty_folder(raw: Path) -> dict[str, Any]:
    (raw / "empty").mkdir()
    return {"log": raw / "empty"}


def no_parquet(raw: Path) -> dict[str, Any]:
    (raw / "clicks.parquet").write_bytes(b"PAR1 and nothing more")
    return {"log": raw / "clicks.parquet"}


def half_ids(raw: Path) -> dict[str, Any]:
    table = {"visitor": [1.5], "sku": ["sku-1"], "at": [1], "clicked": [1], "device": ["phone"]}
    pq.write_table(pa.table(table), raw / "clicks.parquet")
    return {"log": raw / "clicks.parquet"}


def listed_ids(raw: Path) -> dict[str, Any]:
    table = {"visitor": [[1]], "sku": ["sku-1"], "at": [1], "clicked": [1], "device": ["phone"]}
    pq.write_table(pa.table(table), raw / "clicks.parquet")
    return {"log": raw / "clicks.parquet"}


def listed_devices(raw: Path) -> dict[str, Any]:
    table = {"visitor": [1], "sku": ["sku-1"], "at": [1], "clicked": [1], "device": [["phone"]]}
    pq.write_table(pa.table(table), raw / "clicks.parquet")
    return {"log": raw / "clicks.parquet"}


def wrong_split(raw: Path) -> dict[str, Any]:
    (raw / "clicks.csv").write_text("visitor,sku,at,clicked,part\nv1,sku-1,5,1,dev\n")
    write_features(raw, "features: []\n" + COLUMNS.replace("}", ", split: part}"))
    return {}


def negative_weight(raw: Path) -> dict[str, Any]:
    (raw / "clicks.csv").write_text("visitor,sku,at,clicked,w\nv1,sku-1,5,1,-1\n")
    write_features(raw, "features: []\n" + COLUMNS.replace("}", ", weight: w}"))
    return {}


def clicks_alone_without_a_policy(raw: Path) -> dict[str, Any]:
    write_features(raw, "features: []\nlog: {user: visitor, item: sku, time: at}\n")
    return {"negatives": ()}


def no_log_section(raw: Path) -> dict[str, Any]:
    write_features(raw, FEATURES.partition("log:")[0])
    return {}


def pipe(raw: Path) -> dict[str, Any]:
    os.mkfifo(raw / "pipe.csv")  # reading it would never end
    return {"log": raw / "pipe.csv"}


SETTINGS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "no file": (
        lambda raw: {"log": raw / "none.csv"},
        "none.csv is not there; the log should be a Parquet or CSV file",
    ),
    "an unknown ending": (lambda raw: {"log": raw / "features.yaml"}, "features.yaml must end in .parquet, .pq, .csv"),
    "an empty folder": (empty_folder, "holds no Parquet and no CSV file; the log should lie there"),
    "both kinds": (both_kinds, "holds both Parquet and CSV files; the log must be of one kind"),
    "no parquet file": (no_parquet, "clicks.parquet"),
    "a pipe": (pipe, "pipe.csv is not there; the log should be"),
    "no features.yaml": (lambda raw: {"features": raw / "no.yaml"}, "no.yaml is not there: mmctr init proposes one"),
    "no log section": (no_log_section, "features.yaml lacks the section `log`"),
    "no item table": (lambda _: {"items": None}, "declares 'price' of an item, and no item table is given"),
    "no covers": (lambda raw: {"covers": raw / "none"}, "none is not there: --covers must be a folder or a tar"),
    "other covers": (no_covers, "none of its 1 pictures is named as the items' own ids say"),
    "broken ids": (half_ids, "row 1: visitor = 1.5 must be a text or a whole number"),
    "ids in lists": (listed_ids, "visitor (log.user) is of type BIGINT[]; must be texts or whole numbers"),
    "a feature in lists": (listed_devices, "device is of type VARCHAR[]; must be texts or whole numbers"),
    "an unknown split": (wrong_split, "row 1: part = 'dev' must be train, valid or test"),
    "a negative weight": (negative_weight, "row 1: w = '-1' must be a number above 0"),
    "no policy": (clicks_alone_without_a_policy, "has clicks alone, so --negatives must name a policy: uniform"),
    "an unknown policy": (
        lambda _: {"negatives": ("hard",)},
        "--negatives 'hard': must be one of uniform, popular, recent",
    ),
    "ids of no data set": (
        lambda raw: {"ids_from": raw},
        "user_ids.parquet is not there: --ids-from must name a data set",
    ),
    "no history": (lambda _: {"history": 0}, "--history 0: must be a whole number from 1 to 100"),
    "shares beyond one": (
        lambda _: {"train": 0.9, "valid": 0.2},
        "--train 0.9 and --valid 0.2: must be shares above 0",
    ),
    "too little memory": (lambda _: {"memory_mb": 5}, "--memory-mb 5: must be a whole number from 100 to"),
}


@pytest.mark.parametrize(("change", "message"), SETTINGS.values(), ids=SETTINGS)
def test_of_files_and_settings(raw: Path, change: Callable[[Path], dict[str, Any]], message: str) -> None:
    assert message in refused(raw, **change(raw))
