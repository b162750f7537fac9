"""The converted MovieLens log: no row holds anything that was known only after its click."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from components.dataset.footers import check_footers
from components.dataset.images import ImageFolder
from components.dataset.importers import movielens, movielens_features
from components.dataset.layout import SPLITS, item_feature_path, split_path
from components.errors import StepError
from components.storage.files import sha256_file

CLICKS = 400


def write_source(folder: Path, ratings: str = "", items: str = "") -> Path:
    """Twenty users and forty films; click k happens at moment k // 2, so that two clicks share a timestamp."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    if not ratings:
        pairs = [divmod(int(cell), 40) for cell in rng.permutation(800)[:CLICKS]]
        lines = [f"{u + 1},{i + 1},{1 + (u + i) % 5},{1_000 + k // 2}" for k, (u, i) in enumerate(pairs)]
        rng.shuffle(lines)
        ratings = "user_id,item_id,rating,timestamp\n" + "\n".join(lines) + "\n"
    if not items:
        films = [f'{i},"Film {i}, part 1",Drama|War,k{i % 3}|only{i},Something happens.' for i in range(40, 0, -1)]
        items = "item_id,title,genres,keywords,overview\n" + "\n".join(films) + "\n"
    (folder / "ratings.csv").write_text(ratings)
    (folder / "items.csv").write_text(items)
    return folder


def _log(source: Path) -> Any:
    return pd.read_csv(source / "ratings.csv").sort_values(["timestamp", "user_id", "item_id"])


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    source = write_source(tmp_path_factory.mktemp("movielens"))
    out = tmp_path_factory.mktemp("out")
    movielens(source, out)
    return source, out


def _rows(out: Path, split: str) -> Any:
    return pq.read_table(split_path(out, split)).to_pandas()


def test_splits_are_stretches_of_time_and_hold_every_click_with_a_past(converted: tuple[Path, Path]) -> None:
    source, out = converted
    log = _log(source)
    without_past = log.timestamp == log.groupby("user_id").timestamp.transform("min")
    without_past |= log.timestamp == log.groupby("item_id").timestamp.transform("min")
    train = int((~without_past[log.timestamp < 1_160]).sum())
    log = log.set_index(["user_id", "item_id"]).timestamp
    times = []
    for split in SPLITS:
        clicked = _rows(out, split).query("label == 1")
        times.append(log.loc[list(zip(clicked.user_id, clicked.item_id, strict=True))].to_numpy())
    assert [len(t) for t in times] == [train, 40, 40]
    assert train == 273
    assert times[0].max() < times[1].min()
    assert times[1].max() < times[2].min()


def test_a_history_is_the_users_clicks_at_strictly_earlier_moments(converted: tuple[Path, Path]) -> None:
    source, out = converted
    log = _log(source)
    for split in SPLITS:
        for row in _rows(out, split).query("label == 1").itertuples():
            now = log[(log.user_id == row.user_id) & (log.item_id == row.item_id)].timestamp.iloc[0]
            before = log[(log.user_id == row.user_id) & (log.timestamp < now)].item_id.tolist()[-50:]
            assert row.item_seq.tolist() == [0] * (100 - len(before)) + before


def test_items_were_clicked_before_and_negatives_not_by_the_user(converted: tuple[Path, Path]) -> None:
    source, out = converted
    log = _log(source)
    first_seen = log.groupby("item_id").timestamp.min()
    clicked_at = log.set_index(["user_id", "item_id"]).timestamp
    for split in SPLITS:
        now = 0
        for row in _rows(out, split).itertuples():
            if row.label:
                now = clicked_at.loc[(row.user_id, row.item_id)]
            else:
                assert row.item_id not in row.item_seq
            assert first_seen.loc[row.item_id] < now  # or a level of "never clicked" would give the label away


def test_no_item_is_both_clicked_and_not_clicked_at_the_same_moment(tmp_path: Path) -> None:
    """Ten clicks of a user in each second, as people do who rate a list."""
    rng = np.random.default_rng(0)
    lines = [
        f"{user},{item + 1},5,{1_000 + k // 10 * 20 + user}"
        for user in range(1, 21)
        for k, item in enumerate(rng.permutation(40))
    ]
    source = write_source(tmp_path / "in", "user_id,item_id,rating,timestamp\n" + "\n".join(lines) + "\n")
    movielens(source, tmp_path / "out")
    for split in SPLITS:
        rows = _rows(tmp_path / "out", split)
        rows["history"] = rows.item_seq.map(tuple)
        assert not rows.duplicated(["user_id", "item_id", "history"]).any()


def test_a_rows_levels_are_deciles_of_the_clicks_before_its_own(converted: tuple[Path, Path]) -> None:
    source, out = converted
    log = _log(source).set_index(["user_id", "item_id"])
    films = pd.Index(range(1, 41))
    for split in SPLITS:
        rows = _rows(out, split)
        moment = None
        for row in rows.itertuples():
            if row.label:  # the two rows that follow are its negatives, of the same moment
                moment = log.timestamp[row.user_id, row.item_id]
            before = log[log.timestamp < moment].reset_index()
            for level, clicks in ((row.views_level, before), (row.likes_level, before[before.rating >= 4])):
                counts = clicks.item_id.value_counts().reindex(films, fill_value=0)
                assert level == 1 + 10 * (counts < counts[row.item_id]).sum() // 40


def test_later_clicks_do_not_change_a_level(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in")
    movielens(source, tmp_path / "whole")
    log = _log(source)
    early = log[log.timestamp < 1_150]
    movielens(write_source(tmp_path / "in2", ratings=early.to_csv(index=False)), tmp_path / "early")
    whole, cut = (
        pd.concat([_rows(tmp_path / name, split) for split in SPLITS]).query("label == 1")
        for name in ("whole", "early")
    )
    merged = cut.merge(whole, on=["user_id", "item_id"])
    assert len(merged) == len(cut) > 200
    for level in ("likes_level", "views_level"):
        assert (merged[f"{level}_x"] == merged[f"{level}_y"]).all()


def test_the_levels_of_items_are_counted_in_train_alone(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in")
    movielens(source, tmp_path / "a")
    lines = (source / "ratings.csv").read_text().splitlines()
    # Other stars after train: the levels must not move.
    late = [line for line in lines[1:] if int(line.split(",")[3]) >= 1_160]
    changed = [",".join([*line.split(",")[:2], "5", line.split(",")[3]]) if line in late else line for line in lines]
    movielens(write_source(tmp_path / "in2", ratings="\n".join(changed) + "\n"), tmp_path / "b")
    before, after = (pq.read_table(item_feature_path(tmp_path / name)).to_pandas() for name in "ab")
    assert len(late) == 80
    assert before.likes_level.tolist() == after.likes_level.tolist()
    assert before.views_level.between(1, 10).all()


def test_items_carry_their_whole_text_and_the_shared_keywords(converted: tuple[Path, Path]) -> None:
    items = pq.read_table(item_feature_path(converted[1])).to_pandas().set_index("item_id")
    assert items.index.tolist() == list(range(1, 41))
    assert items.item_title[7] == "Film 7, part 1. Drama, War. k1, only7. Something happens."
    assert items.item_tags[7].tolist() == [1, 2, 4]  # Drama, War, k1; a keyword of one film is no tag


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        movielens(source, tmp_path / name, seed)
    a, b, c = (sha256_file(split_path(tmp_path / name, "train")) for name in "abc")
    assert a == b != c


def test_posters_become_a_shard(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in")
    with tarfile.open(source / "posters.tar", "w") as tar:
        for item in (1, 40, 77):
            member = tarfile.TarInfo(f"{item}.jpg")
            member.size = 3
            tar.addfile(member, io.BytesIO(b"jpg"))
    report = movielens(source, tmp_path / "out")
    assert report.lines[-1] == "2 of 40 items have a poster"
    assert ImageFolder(tmp_path / "out").read(40) == b"jpg"


def test_ratings_of_unknown_items_are_left_out_and_counted(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in")
    with (source / "ratings.csv").open("a") as file:
        file.write("1,999,5,1001\n")
    report = movielens(source, tmp_path / "out")
    assert "1 ratings left out: their items are not in items.csv" in report.lines


RATINGS = "user_id,item_id,rating,timestamp\n"
ITEMS = "item_id,title,genres,keywords,overview\n"


@pytest.mark.parametrize(
    ("ratings", "items", "message"),
    [
        pytest.param("user_id,item_id,rating\n1,1,5\n", "", "lacks the column 'timestamp'", id="column-missing"),
        pytest.param(RATINGS, "", "has no rows", id="no-rows"),
        pytest.param(RATINGS + "1,one,5,3\n", "", "row 1: item_id = 'one' must be a whole number", id="id-text"),
        pytest.param(RATINGS + "1,1.0,5,3\n", "", "row 1: item_id = '1.0' must be a whole number", id="id-float"),
        pytest.param(RATINGS + "1,1,5,3\n0,1,5,3\n", "", "row 2: user_id = '0' must be at least 1", id="id-zero"),
        pytest.param(RATINGS + "1,1,good,3\n", "", "rating = 'good' must be a number", id="rating-text"),
        pytest.param(RATINGS + "1,1,nan,3\n", "", "rating = 'nan' must be a number", id="rating-nan"),
        pytest.param(RATINGS + "1,1,5,3\n", "", "too few to split", id="one-click"),
        pytest.param(RATINGS + "1,1,5,3\n1,1,4,9\n", "", "user_id 1 rates item_id 1 twice", id="rated-twice"),
        pytest.param(RATINGS + "1,99,5,3\n", "", "do the files match", id="other-items"),
        pytest.param("", ITEMS + "1,a,,,\n1,b,,,\n", "item_id 1 stands there twice", id="item-twice"),
        pytest.param("\x00\x01", "", "ratings.csv", id="bytes"),
        pytest.param('"' * 7, "", "ratings.csv", id="open-quote"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, ratings: str, items: str, message: str) -> None:
    source = write_source(tmp_path / "in", ratings, items)
    with pytest.raises(StepError, match=message):
        movielens(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"items\.csv is missing: it should hold the columns item_id, title"):
        movielens(tmp_path, tmp_path / "out")


def test_with_features_it_is_a_data_set_that_declares_them(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in")
    items = (source / "items.csv").read_text().replace("Film 7, part 1", "Film 7 (1997)")
    (source / "items.csv").write_text(items)
    report = movielens_features(source, tmp_path / "out")
    assert report.lines[0] == f"400 events of 20 users and 40 items in {source}/ratings.csv"
    check_footers(tmp_path / "out")
    users, films = (pq.read_table(tmp_path / "out" / f"{whose}_ids.parquet").to_pydict() for whose in ("user", "item"))
    assert set(users["raw"]) == {f"user {number}" for number in range(1, 21)}
    table = {film["item_id"]: film for film in pq.read_table(item_feature_path(tmp_path / "out")).to_pylist()}
    seventh = table[films["id"][films["raw"].index("7")]]
    assert seventh["item_title"] == "Film 7 (1997). Something happens."
    assert seventh["release_year"] == 1997
    assert seventh["genres"] == ["Drama", "War"]
    assert {row["hour_of_day"] for row in _rows(tmp_path / "out", "train").to_dict("records")} == {0}


def test_with_features_what_is_wrong_names_the_files_of_movielens(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in", items=ITEMS + "1,a,,,\n1,b,,,\n")
    with pytest.raises(StepError, match=rf"^{source}/items\.csv: item_id '1' stands there 2 times"):
        movielens_features(source, tmp_path / "out")
