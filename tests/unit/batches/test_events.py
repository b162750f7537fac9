"""Features of events in a row store: the same codes as `Encoder.events` gives them in a request."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.batches.rows import RowStore
from components.errors import StepError
from components.schema.encoder import Encoder, FittedFeature

ENCODER = Encoder(
    (FittedFeature("device", "category", values=("phone", "desktop"), buckets=3),),
    (),
    (
        FittedFeature("action", "category", of="event", values=("buy", "view")),
        FittedFeature("gap", "number", of="event", encoding="piecewise", edges=(0.0, 1.0, 5.0)),
    ),
)
ROWS: dict[str, Any] = {
    "user_id": [1, 1, 2, 2],
    "item_id": [5, 6, 5, 7],
    "item_seq": [[0, 5, 6], [], [7], [0, 0, 4]],
    "device": ["phone", None, "watch", "desktop"],
    "action": [["buy", "view", None], [], ["never seen"], [None, "x", "buy"]],
    "gap": [[9.0, 0.5, None], [], [3.0], [0.0, 0.0, 7.0]],
}


def store(folder: Path, **changes: Any) -> RowStore:
    pq.write_table(pa.table({**ROWS, **changes}), folder / "rows.parquet")
    return RowStore.build(folder / "rows.parquet", folder / "cache", encoder=ENCODER)


def test_a_store_holds_what_a_request_would_give(tmp_path: Path) -> None:
    made = store(tmp_path)
    codes, numbers = ENCODER.events(ROWS, ROWS["item_seq"])
    assert made.events is not None
    np.testing.assert_array_equal(made.events["codes"][1:], codes)
    np.testing.assert_array_equal(made.events["numbers"][1:], numbers)
    np.testing.assert_array_equal(made.codes, ENCODER.rows(ROWS, 4)[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gap": [[9.0, 0.5, 1.0], [], [3.0, 4.0], [0.0, 0.0, 7.0]]}, r"gap, row 2: \[3.0, 4.0\]; .* each of the 1"),
        ({"gap": [[9.0, 0.5, 1.0], [], None, [0.0, 0.0, 7.0]]}, r"gap, row 2: None; .* each of the 1"),
        ({"gap": [["9", "1", "1"], [], ["1"], ["1", "1", "x"]]}, r"gap, row 0: '1'; must be a number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_row(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=words):
        store(tmp_path, **changes)
