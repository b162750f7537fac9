"""No bytes and no frames make validation crash: what is wrong with data is a finding, or one clear error."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import StepError
from components.process.progress import progress
from components.storage.files import read_json
from components.validate.config import ValidatePolicy
from components.validate.measure import STORIES, Reading, measure
from components.validate.step import validate
from tests.unit.validate.good_data import Good, tables_judged_once, write_all

FILES = ["train.parquet", "valid.parquet", "test.parquet", "item_feature.parquet", "item_info.parquet"]


@pytest.fixture(scope="module", autouse=True)
def judged_once() -> Iterator[None]:
    with tables_judged_once():
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return write_all(tmp_path_factory.mktemp("good"))


def read(data: Path, champion: Path) -> Reading:
    with progress("test", STORIES, "stories") as bar:
        return measure(data, champion, ValidatePolicy(), frozenset({"duplicate", "target_in_history"}), bar)


@settings(max_examples=80)
@given(
    file=st.sampled_from([*FILES, "item_images-00000.tar"]),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(max_size=64),
    how=st.sampled_from(["cut", "overwrite", "insert", "replace"]),
)
def test_no_damaged_bytes_crash_the_reader(good: Good, file: str, place: float, junk: bytes, how: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(shutil.copytree(good.data, Path(folder) / "data"))
        content = (data / file).read_bytes()
        at = int(len(content) * place)
        damaged = {
            "cut": content[:at],
            "overwrite": content[:at] + junk + content[at + len(junk) :],
            "insert": content[:at] + junk + content[at:],
            "replace": junk,
        }[how]
        (data / file).write_bytes(damaged)
        reading = read(data, good.no_champion)
        files = reading.measured.tables["files"].set_index("file")
        if how in ("cut", "replace") and file.endswith(".parquet"):
            assert "whole parquet file" in files.loc[file, "unreadable"]


SMALL = st.integers(-3, 120)
VALUES = {
    "int64": (st.integers(-(2**63), 2**63 - 1) | SMALL, pa.int64()),
    "uint64": (st.integers(0, 2**64 - 1) | st.integers(0, 120), pa.uint64()),
    "int8": (st.integers(-128, 127), pa.int8()),
    "double": (st.floats(), pa.float64()),
    "string": (st.text(max_size=5), pa.string()),
    "bool": (st.booleans(), pa.bool_()),
    "ints": (st.lists(SMALL | st.none(), max_size=6), pa.list_(pa.int64())),
    "large ints": (st.lists(SMALL, max_size=6), pa.large_list(pa.int32())),
    "fixed ints": (st.lists(SMALL, min_size=3, max_size=3), pa.list_(pa.int64(), 3)),
    "texts": (st.lists(st.text(max_size=3), max_size=3), pa.list_(pa.string())),
    "floats": (st.lists(st.floats(width=32), max_size=4), pa.list_(pa.float32())),
    "date": (st.dates(), pa.date32()),
    "null": (st.none(), pa.null()),
    "struct": (st.fixed_dictionaries({"a": SMALL}), pa.struct([("a", pa.int64())])),
}
USUAL = {
    "user_id": "int64",
    "item_id": "int64",
    "item_seq": "ints",
    "likes_level": "int8",
    "views_level": "int64",
    "label": "int64",
    "item_title": "string",
    "item_tags": "ints",
    "txt_emb_BERT": "floats",
    "img_emb_CLIPRN50": "floats",
    "item_emb_d128": "floats",
}


@st.composite
def frames(draw: st.DrawFn) -> pa.Table:
    """Tables that often have the contract's columns, often of the contract's types, with any values, nulls too."""
    rows = draw(st.integers(0, 12))
    columns = {}
    for name in draw(st.lists(st.sampled_from(sorted(USUAL)), unique=True, min_size=5)):
        kind = draw(st.just(USUAL[name]) | st.sampled_from(sorted(VALUES)))
        values, arrow = VALUES[kind]
        cells = draw(st.lists(values | st.none() if draw(st.booleans()) else values, min_size=rows, max_size=rows))
        columns[name] = pa.array(cells, arrow)
    return pa.table(columns)


def all_columns(rows: int, seed: int, low: int, high: int) -> pa.Table:
    """Every column of the contract, of its type, with numbers of any size."""
    rng = np.random.default_rng(seed)
    lists = [rng.integers(low, high, rng.integers(0, 5)).tolist() for _ in range(rows)]
    columns = {}
    for name, kind in USUAL.items():
        if kind == "ints":
            columns[name] = pa.array(lists, pa.list_(pa.int64()))
        elif kind == "floats":
            columns[name] = pa.array([[float(v) for v in row] for row in lists], pa.list_(pa.float32()))
        elif kind == "string":
            columns[name] = pa.array([str(v) for v in rng.integers(0, 3, rows)], pa.string())
        else:
            columns[name] = pa.array(rng.integers(low, high, rows), pa.int64())
    return pa.table(columns)


@settings(max_examples=40)
@given(frame=frames(), files=st.lists(st.sampled_from(FILES), min_size=1, unique=True))
def test_no_frame_crashes_the_reader(good: Good, frame: pa.Table, files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(shutil.copytree(good.data, Path(folder) / "data"))
        for file in files:
            pq.write_table(frame, data / file)
        read(data, good.no_champion)


@settings(max_examples=12)
@given(
    rows=st.integers(0, 30),
    seed=st.integers(0, 99),
    low=st.sampled_from([-(2**63), -5, 0, 1]),
    high=st.sampled_from([2, 12, 101, 2**62]),
    files=st.lists(st.sampled_from(FILES), min_size=1, unique=True).filter(
        lambda files: files != ["item_info.parquet"]
    ),
)
def test_any_numbers_end_in_a_verdict(good: Good, rows: int, seed: int, low: int, high: int, files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(shutil.copytree(good.data, Path(folder) / "data"))
        for file in files:
            pq.write_table(all_columns(rows, seed, low, high), data / file)
        pq.write_table(all_columns(rows, seed + 1, low, high), data / "item_info.parquet")
        out = Path(folder) / "out"
        with pytest.raises(StepError, match=r"that stops? a run"):  # so few rows never pass
            validate(data, good.no_champion, ValidatePolicy(), out)
        assert not read_json(out / "verdict.json")["passed"]
