"""The request log: whole files, the declared columns, and nothing that a request would have to wait for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.errors import StepError
from components.request_log.choice import checked_salt, fits_request_id, place, pseudonym
from components.request_log.entry import BASE, Entry, rows_of
from components.request_log.read import Period, period, read_log, read_tables
from components.request_log.writer import LogConfig, RequestLog
from components.schema.encoder import Encoder, FittedFeature
from components.storage.objects import LocalStore, Store, open_store

SALT = b"a salt of the tests"
FEATURES = (
    FittedFeature("likes_level", "category", levels=11),
    FittedFeature("device", "category", values=("tablet",), of="user"),
    FittedFeature("price", "number", encoding="standardised"),
    FittedFeature("labels", "categories", values=("a",), width=2),
)


def entry(number: int = 0, rows: int = 3, **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "request_id": f"r{number}",
        "at": datetime(2026, 11, 28, 12, 0, number % 60, tzinfo=UTC),
        "route": "/rank",
        "user": "0123456789abcdef",
        "arm": 3,
        "version": 3,
        "item_table": "c" * 64,
        "item": np.arange(1, rows + 1),
        "known": np.ones(rows, np.bool_),
        "logit": np.linspace(-1, 1, rows, dtype=np.float32),
        "histories": [[0, 5, 99]],
        "knows": lambda ids: ids < 40,
        "features": FEATURES,
        "columns": {
            "likes_level": [4] * rows,
            "device": [7] * rows,
            "price": [1.5] * (rows - 1) + [None],
            "labels": [["a", 8]] * (rows - 1) + [None],
        },
    }
    return Entry(**{**values, **changes})


@contextmanager
def writing(store: Store, **config: Any) -> Iterator[RequestLog]:
    log = RequestLog(store, SALT, LogConfig(**{"file_seconds": 0.1, **config}))
    log.start()
    try:
        yield log
    finally:
        log.close()


def table_of(store: Store) -> pa.Table:
    return pa.concat_tables(read_tables(store, Period()))


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_entry_becomes_a_row_a_candidate_with_the_raw_features() -> None:
    rows = rows_of(entry()).to_pylist()
    assert [row["item_id"] for row in rows] == [1, 2, 3]
    assert [row["position"] for row in rows] == [0, 1, 2]
    assert {(row["history_length"], row["history_unknown"]) for row in rows} == {(2, 1)}
    assert rows[0]["feature_likes_level"] == 4
    assert rows[0]["feature_device"] == "7"
    assert [row["feature_price"] for row in rows] == [1.5, 1.5, None]
    assert [row["feature_labels"] for row in rows] == [["a", "8"], ["a", "8"], []]
    assert {(row["shadow"], row["shadow_logit"]) for row in rows} == {(None, None)}


def test_what_was_logged_is_encoded_as_what_was_asked() -> None:
    made = entry()
    logged = rows_of(made).to_pydict()
    encoder = Encoder(FEATURES, ())
    columns = {feature.name: logged[f"feature_{feature.name}"] for feature in FEATURES}
    for served, again in zip(encoder.rows(made.columns, 3), encoder.rows(columns, 3), strict=True):
        np.testing.assert_array_equal(served, again)


def test_rows_with_a_history_each_and_a_second_score() -> None:
    made = entry(histories=[[5], [], [5, 6]], shadow=4, shadow_logit=np.zeros(3, np.float32), user=None)
    rows = rows_of(made).to_pylist()
    assert [row["history_length"] for row in rows] == [1, 0, 2]
    assert {(row["shadow"], row["shadow_logit"], row["user"]) for row in rows} == {(4, 0.0, None)}


def test_files_are_rolled_by_age_and_by_size_and_hold_everything_once(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with writing(store, file_bytes=2000) as log:
        for number in range(40):
            log.offer(entry(number))
        wait_for(lambda: log.counts.files > 1)
    table = table_of(store)
    assert sorted(set(table["request_id"].to_pylist())) == sorted(f"r{number}" for number in range(40))
    assert table.num_rows == 120
    assert (log.counts.written, log.counts.dropped, log.counts.lost) == (40, 0, 0)
    assert all(name.startswith("day=2026-11-28/1200") for name in store.listing())


def test_a_file_holds_one_set_of_columns(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with writing(store) as log:
        log.offer(entry(1))
        log.offer(entry(2, features=(), columns={}))
    assert sorted(table.num_columns for table in read_tables(store, Period())) == [
        len(BASE),
        len(BASE) + 4,
    ]


def test_a_full_queue_drops_and_counts_and_does_not_wait(tmp_path: Path) -> None:
    log = RequestLog(LocalStore(tmp_path), SALT, LogConfig(waiting=2))  # its thread was not started
    for number in range(5):
        log.offer(entry(number))
    assert log.counts.dropped == 3


class FailingStore(LocalStore):
    failing = True

    def put(self, name: str, data: bytes) -> None:
        if self.failing:
            raise StepError("the disk is full")
        super().put(name, data)


def test_a_store_that_fails_is_tried_again_and_given_up_when_too_much_waits(tmp_path: Path) -> None:
    store = FailingStore(tmp_path)
    with writing(store, unsent=2, file_bytes=1) as log:  # a file for each entry
        log.offer(entry(1))
        wait_for(lambda: log.counts.failures > 1)
        store.failing = False
        wait_for(lambda: log.counts.written == 1)
        store.failing = True
        for number in range(2, 7):
            log.offer(entry(number))
        wait_for(lambda: log.counts.lost == 3)
        store.failing = False
    assert (log.counts.written, log.counts.lost) == (3, 3)
    assert set(table_of(store)["request_id"].to_pylist()) == {"r1", "r5", "r6"}  # the newest are kept


def test_an_entry_that_cannot_be_written_is_counted_and_the_others_are_kept(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with writing(store) as log:
        log.offer(entry(1, columns={}))
        log.offer(entry(2))
    assert (log.counts.lost, log.counts.written) == (1, 1)
    assert set(table_of(store)["request_id"].to_pylist()) == {"r2"}


WRITER = """
import itertools, sys, time
from pathlib import Path
from tests.unit.request_log.test_writer import LocalStore, RequestLog, SALT, LogConfig, entry
log = RequestLog(LocalStore(Path(sys.argv[1])), SALT, LogConfig(file_seconds=0.1))
log.start()
for number in itertools.count():
    log.offer(entry(number))
    print(number, log.counts.written, flush=True)
    time.sleep(0.002)
"""


def test_after_kill_9_all_files_are_whole_and_only_what_no_file_held_is_lost(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    said = ""
    with process, process.stdout:
        for line in process.stdout:
            said = line
            if int(line.split()[1]) > 50:
                break
        process.send_signal(signal.SIGKILL)
    written = int(said.split()[1])
    numbers = sorted({int(request[1:]) for request in table_of(LocalStore(tmp_path))["request_id"].to_pylist()})
    assert len(numbers) >= written
    assert numbers == list(range(len(numbers)))  # nothing is missing before the end


def test_an_s3_store_gets_the_same_files(s3: Any, bucket: str, as_writer: None) -> None:  # noqa: ARG001
    store = open_store(f"s3://{bucket}/requests")
    with writing(store) as log:
        for number in range(3):
            log.offer(entry(number))
    assert table_of(store).num_rows == 9


def test_a_period_is_read_by_the_time_of_its_requests(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with writing(store) as log:
        for day in (26, 27, 28):
            log.offer(entry(day, at=datetime(2026, 11, day, 23, 59, tzinfo=UTC)))
    found = read_log(store, period("2026-11-27", "2026-11-28"), ["request_id", "at"])
    assert set(found["request_id"]) == {"r27"}
    with pytest.raises(StepError, match="holds no requests of this period"):
        read_log(store, period("2027-01-01", None))
    with pytest.raises(ValueError, match="--since yesterday: must be a day such as 2026-11-28"):
        period("yesterday", None)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "day=2026-11-28").mkdir()
    (tmp_path / "day=2026-11-28/1.parquet").write_bytes(b"PAR1")
    store = LocalStore(tmp_path)
    with pytest.raises(StepError, match=r"day=2026-11-28/1.parquet can't be read"):
        list(read_tables(store, Period()))


def test_places_are_even_and_of_their_purpose_alone() -> None:
    first = np.array([place("log", str(user)) for user in range(4000)])
    second = np.array([place("canary 7", str(user)) for user in range(4000)])
    assert abs(float((first < 0.25).mean()) - 0.25) < 0.03
    assert abs(float(np.corrcoef(first, second)[0, 1])) < 0.06
    assert place("log", "17") == place("log", "17")


def test_users_stand_in_the_log_as_keyed_hashes() -> None:
    assert pseudonym(SALT, "ada") == pseudonym(SALT, "ada")
    assert pseudonym(SALT, "ada") != pseudonym(b"another salt here", "ada")
    assert "ada" not in pseudonym(SALT, "ada")
    assert checked_salt("sixteen letters!") == b"sixteen letters!"
    for salt, found in ((None, "not set"), ("short", "5 characters long")):
        with pytest.raises(StepError, match=f"MMCTR_LOG_SALT is {found}"):
            checked_salt(salt)


@pytest.mark.parametrize(("text", "fits"), [("a-b_c.1:2+/=", True), ("", False), ("a b", False), ("x" * 65, False)])
def test_request_ids(text: str, fits: bool) -> None:
    assert fits_request_id(text) is fits
