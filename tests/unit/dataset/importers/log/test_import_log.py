"""From a raw log to a data set: ids, splits, features, items and covers, whole or not at all."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.dataset.footers import check_footers
from components.dataset.images import ImageFolder
from components.dataset.importers import LogImport, import_log
from components.dataset.layout import SPLITS, item_feature_path, split_path
from components.errors import StepError
from components.storage.files import read_json, sha256_file
from tests.raw_log import COLUMNS, ITEMS, write_clicks, write_features, write_items


def settings(folder: Path, **changes: Any) -> LogImport:
    given = {"log": folder / "clicks.csv", "features": folder / "features.yaml", "items": folder / "items.csv"}
    return LogImport(**{**given, "out": folder / "out", **changes})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_clicks(tmp_path)
    write_items(tmp_path)
    write_features(tmp_path)
    return tmp_path


def rows(out: Path, split: str) -> Any:
    return pq.read_table(split_path(out, split)).to_pandas()


def raw_ids(out: Path, whose: str) -> dict[int, str]:
    table = pq.read_table(out / f"{whose}_ids.parquet").to_pydict()
    return dict(zip(table["id"], table["raw"], strict=True))


def test_a_raw_log_becomes_a_data_set_that_a_run_takes(raw: Path) -> None:
    report = import_log(settings(raw))
    check_footers(raw / "out")
    assert report.lines[0].startswith("600 events of 20 users and 30 items")
    assert sorted(path.name for path in (raw / "out").iterdir()) == [
        "features.yaml",
        "import.json",
        "item_feature.parquet",
        "item_ids.parquet",
        "test.parquet",
        "train.parquet",
        "user_ids.parquet",
        "valid.parquet",
    ]


def test_the_splits_are_stretches_of_time_and_part_no_moment(raw: Path) -> None:
    import_log(settings(raw, min_history=0))
    times = [rows(raw / "out", split).time for split in SPLITS]
    assert [len(time) for time in times] == [480, 60, 60]
    assert times[0].max() < times[1].min()
    assert times[1].max() < times[2].min()


def test_rows_keep_what_the_log_says_of_them(raw: Path) -> None:
    import_log(settings(raw, min_history=0))
    users, items = raw_ids(raw / "out", "user"), raw_ids(raw / "out", "item")
    made = pd.concat([rows(raw / "out", split) for split in SPLITS])
    made = pd.DataFrame(
        {
            "visitor": made.user_id.map(users),
            "sku": made.item_id.map(items),
            "at": made.time,
            "clicked": made.label,
            "device": made.device.fillna(""),
        }
    )
    log = pd.read_csv(raw / "clicks.csv", keep_default_na=False)
    order = list(log.columns)
    assert (made.sort_values(order).to_numpy() == log[order].sort_values(order).to_numpy()).all()
    hours = pd.concat([rows(raw / "out", split) for split in SPLITS])
    assert (hours.hour_of_day == pd.to_datetime(hours.time, unit="s").dt.hour).all()


def test_items_keep_their_title_and_features(raw: Path) -> None:
    import_log(settings(raw))
    items = raw_ids(raw / "out", "item")
    table = pq.read_table(item_feature_path(raw / "out")).to_pylist()
    assert [item["item_id"] for item in table] == list(range(1, ITEMS + 1))
    for item in table:
        number = int(items[item["item_id"]].removeprefix("sku-"))
        assert item["item_title"] == f"Thing {number}, large"
        assert item["price"] == number * 2.5
        assert item["brand"] == ["Acme", "Birch", None][number % 3]
        assert item["materials"] == ["wool", "oak"]


def test_ids_are_given_in_the_order_of_time_and_stay_when_the_log_grows(raw: Path) -> None:
    import_log(settings(raw))
    first = raw_ids(raw / "out", "user"), raw_ids(raw / "out", "item")
    log = pd.read_csv(raw / "clicks.csv").sort_values("at")
    assert first[0][1] in set(log.visitor[log["at"] == log["at"].min()])
    with (raw / "clicks.csv").open("a") as file:
        file.write("a-new-visitor,sku-new,1600000000,1,phone\n")  # the earliest of all
    with (raw / "items.csv").open("a") as file:
        file.write("sku-new,New,1,Acme,oak\n")
    import_log(settings(raw, out=raw / "grown", ids_from=raw / "out"))
    grown = raw_ids(raw / "grown", "user"), raw_ids(raw / "grown", "item")
    assert {id: grown[0][id] for id in first[0]} == first[0]
    assert {id: grown[1][id] for id in first[1]} == first[1]
    assert grown[0][21] == "a-new-visitor"
    assert grown[1][31] == "sku-new"


def test_parquet_and_csv_give_the_same_rows(raw: Path) -> None:
    import_log(settings(raw))
    frame = pd.read_csv(raw / "clicks.csv")
    (raw / "parts").mkdir()
    for part in (0, 1):
        table = pa.Table.from_pandas(frame.iloc[part::2], preserve_index=False)
        at = table["at"].cast(pa.timestamp("s", "UTC"))  # a time as a time
        pq.write_table(table.set_column(2, "at", at), raw / "parts" / f"{part}.parquet")
    import_log(settings(raw, log=raw / "parts", out=raw / "from_parquet"))
    for split in SPLITS:
        assert pq.read_table(split_path(raw / "out", split)).equals(
            pq.read_table(split_path(raw / "from_parquet", split))
        )


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda seconds: f"{seconds}000", id="milliseconds"),
        pytest.param(lambda seconds: f"{seconds}000000", id="microseconds"),
        pytest.param(lambda seconds: f"{seconds}000000000", id="nanoseconds"),
        pytest.param(lambda seconds: f"{seconds}.25", id="fractions"),
        pytest.param(lambda seconds: pd.Timestamp(seconds, unit="s").isoformat() + "Z", id="texts"),
        pytest.param(
            lambda seconds: pd.Timestamp(seconds, unit="s", tz="UTC").tz_convert("Asia/Tokyo").isoformat(), id="zones"
        ),
    ],
)
def test_times_may_be_written_in_any_one_way(raw: Path, written: Any) -> None:
    import_log(settings(raw))
    lines = (raw / "clicks.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    changed = [",".join([user, item, written(int(time)), *rest]) for user, item, time, *rest in cells]
    (raw / "clicks.csv").write_text("\n".join([lines[0], *changed]))
    import_log(settings(raw, out=raw / "other"))
    for split in SPLITS:
        assert sha256_file(split_path(raw / "out", split)) == sha256_file(split_path(raw / "other", split))


def test_given_splits_are_kept_and_weights_taken_along(raw: Path) -> None:
    lines = (raw / "clicks.csv").read_text().splitlines()
    marked = [f"{line},{SPLITS[k % 3]},{1 + k % 4}" for k, line in enumerate(lines[1:])]
    (raw / "clicks.csv").write_text("\n".join([f"{lines[0]},part,importance", *marked]))
    write_features(raw, "features: []\n" + COLUMNS.replace("}", ", split: part, weight: importance}"))
    import_log(settings(raw, min_history=0))
    for number, split in enumerate(SPLITS):
        made = rows(raw / "out", split)
        assert len(made) == 200
        assert sorted(made.weight) == sorted(float(1 + k % 4) for k in range(600) if k % 3 == number)


def test_without_an_item_table_the_ids_are_the_titles(raw: Path) -> None:
    write_features(raw, "features: []\n" + COLUMNS)
    import_log(settings(raw, items=None))
    check_footers(raw / "out")
    items = raw_ids(raw / "out", "item")
    table = pq.read_table(item_feature_path(raw / "out")).to_pydict()
    assert dict(zip(table["item_id"], table["item_title"], strict=True)) == items


@pytest.mark.parametrize("named", [False, True], ids=["by-id", "by-column"])
def test_covers_come_along_under_the_new_ids(raw: Path, named: bool) -> None:
    covers = raw / "covers" / "spring"
    covers.mkdir(parents=True)
    for number in (3, 7, 99):
        name = f"photo{number}.png" if named else f"sku-{number}.png"
        Image.new("RGB", (8, 8), (number, 0, 0)).save(covers / name)
    if named:
        lines = (raw / "items.csv").read_text().splitlines()
        with_files = [f"{line},spring/photo{k}.png" for k, line in enumerate(lines[1:])]
        (raw / "items.csv").write_text("\n".join([f"{lines[0]},picture", *with_files]))
        write_features(raw, "features: []\n" + COLUMNS.replace("}", ", cover: picture}"))
    report = import_log(settings(raw, covers=raw / "covers"))
    assert report.lines[-1] == "2 of 30 items have a picture; 1 pictures are of no item"
    images, items = ImageFolder(raw / "out"), raw_ids(raw / "out", "item")
    assert {items[item] for item in images.ids()} == {"sku-3", "sku-7"}
    for item in images.ids():
        assert images.read(item) == next(covers.glob(f"*{items[item][4:]}.png")).read_bytes()


def test_events_of_items_that_the_table_lacks_are_left_out_and_counted(raw: Path) -> None:
    with (raw / "clicks.csv").open("a") as file:
        file.write("v1,sku-unknown,1700000000,1,phone\n")
    assert "1 events left out: the item table does not have their items" in import_log(settings(raw)).lines


def test_the_record_names_the_files_and_the_settings(raw: Path) -> None:
    import_log(settings(raw, seed=7))
    record = read_json(raw / "out/import.json")
    assert record["files"]["clicks.csv"] == sha256_file(raw / "clicks.csv")
    assert record["settings"]["seed"] == 7
    assert sum(record["rows"].values()) == sum(len(rows(raw / "out", split)) for split in SPLITS)


def test_the_same_seed_gives_the_same_bytes(raw: Path) -> None:
    write_features(raw, "features: []\nlog: {user: visitor, item: sku, time: at}\n")
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        import_log(settings(raw, out=raw / out, seed=seed))
    for split in SPLITS:
        a, b, c = (sha256_file(split_path(raw / out, split)) for out in "abc")
        assert a == b != c


def test_an_import_that_fails_leaves_what_was_there(raw: Path) -> None:
    import_log(settings(raw))
    before = sha256_file(split_path(raw / "out", "train"))
    (raw / "clicks.csv").write_text("visitor,sku,at,clicked,device\nv1,sku-1,17,2,phone\n")
    with pytest.raises(StepError):
        import_log(settings(raw))
    assert sha256_file(split_path(raw / "out", "train")) == before
    assert not [path for path in raw.iterdir() if path.name.startswith(".")]


def test_a_folder_with_other_files_is_not_replaced(raw: Path) -> None:
    (raw / "out").mkdir()
    (raw / "out/thesis.txt").write_text("mine")
    with pytest.raises(StepError, match="holds files that are no dataset of ours"):
        import_log(settings(raw))
    assert (raw / "out/thesis.txt").read_text() == "mine"


def test_events_of_a_history_carry_what_the_log_says_of_them(raw: Path) -> None:
    write_features(
        raw,
        "features:\n  - {name: device, of: row, kind: category}\n  - {name: event_device, of: event, kind: category}\n"
        "  - {name: time_gap, of: event, kind: number}\n" + COLUMNS,
    )
    import_log(settings(raw))
    check_footers(raw / "out")
    users, items = raw_ids(raw / "out", "user"), raw_ids(raw / "out", "item")
    log = pd.read_csv(raw / "clicks.csv", keep_default_na=False)
    clicks = set(log[log.clicked == 1][["visitor", "sku", "at", "device"]].itertuples(index=False, name=None))
    for row in pq.read_table(split_path(raw / "out", "test")).to_pylist():
        carried = zip(row["item_seq"], row["event_device"], row["time_gap"], strict=True)
        for item, device, gap in carried:
            assert gap > 0
            assert (users[row["user_id"]], items[item], row["time"] - gap, device or "") in clicks


def test_texts_and_vectors_of_items_come_along(raw: Path) -> None:
    lines = (raw / "items.csv").read_text().splitlines()
    more = [f'{line},"What thing {k} is","[{k}, 0.5]"' for k, line in enumerate(lines[1:])]
    (raw / "items.csv").write_text("\n".join([f"{lines[0]},description,given", *more]))
    write_features(
        raw,
        "features: [{name: description, of: item, kind: text}, {name: given, of: item, kind: vector}]\n" + COLUMNS,
    )
    import_log(settings(raw))
    check_footers(raw / "out")
    items = raw_ids(raw / "out", "item")
    for item in pq.read_table(item_feature_path(raw / "out")).to_pylist():
        number = int(items[item["item_id"]].removeprefix("sku-"))
        assert item["description"] == f"What thing {number} is"
        assert item["given"] == [number, 0.5]
    (raw / "items.csv").write_text((raw / "items.csv").read_text().replace("[7, 0.5]", "seven"))
    with pytest.raises(StepError, match=r"row 8: given = 'seven' must be numbers such as \[0\.5, 1\.25\], or nothing"):
        import_log(settings(raw))
