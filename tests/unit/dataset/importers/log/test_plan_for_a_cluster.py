"""The page on several machines: its SQL and its function make the rows that `mmctr import log` makes."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.importers import LogImport, import_log
from components.dataset.importers.log.engine import Engine, text
from components.dataset.layout import SPLITS, split_path
from tests.raw_log import COLUMNS, write_clicks, write_features

PAGE = Path(__file__).parents[5] / "docs/how-to/import-on-a-cluster.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["user_id"], row["time"], row["item_id"], row["label"], str(row["device"])))


def test_the_plan_makes_the_same_rows(tmp_path: Path) -> None:
    log = write_clicks(tmp_path)
    features = write_features(tmp_path, "features: [{name: device, of: row, kind: category}]\n" + COLUMNS)
    import_log(LogImport(log, features, tmp_path / "out"))
    engine = Engine(tmp_path, 500)
    engine.run(
        'CREATE TABLE log AS SELECT visitor, sku, CAST("at" AS BIGINT) AS time, CAST(clicked AS BIGINT) AS clicked, '
        f"device FROM read_csv({text(str(log))}, header = true, all_varchar = true)"
    )
    for statement in blocks("sql"):
        engine.run(statement)
    events = pa.Table.from_batches(engine.batches("SELECT * FROM events", 100_000))
    valid, test = engine.row("SELECT valid, test FROM split_begins")
    engine.close()

    named: dict[str, Any] = {}
    (function,) = blocks("python")
    exec(compile(function, str(PAGE), "exec"), named)
    users = events["user_id"].to_numpy()
    parts = [events.filter(pa.array(users % 3 == part)) for part in range(3)]  # three machines
    rows = [row for part in parts for row in named["rows_of_users"](part).to_pylist()]
    for split, low, high in zip(SPLITS, (0, valid, test), (valid, test, 2**62), strict=True):
        expected = pq.read_table(split_path(tmp_path / "out", split)).to_pylist()
        assert in_order([row for row in rows if low <= row["time"] < high]) == in_order(expected)
