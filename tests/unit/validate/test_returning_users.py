"""A log split by time in which people come back and click the same items again, under both policies for users."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.dataset import layout
from components.dataset.sample import SIZES, write_sample
from components.errors import StepError
from components.validate.config import ValidatePolicy
from components.validate.step import validate
from tests.unit.validate.good_data import histories, ints, with_column, with_histories, write_no_champion


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Every user of valid and test is one of train's, and clicks again what was clicked last before train."""
    data = tmp_path / "log"
    write_sample(data, replace(SIZES["tiny"], content="item_info"))
    train = pq.read_table(data / "train.parquet")
    items = pq.read_table(data / "item_feature.parquet").to_pandas().set_index(layout.ITEM)
    for split in ("valid", "test"):
        rows = pq.read_table(data / f"{split}.parquet")
        earlier = train.slice(0, rows.num_rows)
        clicked, before = ints(rows, layout.LABEL) == 1, histories(earlier)
        targets = np.where(clicked, before[:, -1], ints(rows, layout.ITEM))
        rows = with_column(rows, layout.USER, earlier.column(layout.USER))
        rows = with_histories(rows, np.concatenate([before[:, 1:], histories(rows)[:, -1:]], axis=1))
        for level in (layout.LIKES, layout.VIEWS):
            rows = with_column(rows, level, items.loc[targets, level].to_numpy())
        pq.write_table(with_column(rows, layout.ITEM, targets), data / f"{split}.parquet")
    return data


def test_such_a_log_stops_unless_the_policy_expects_it(log: Path, tmp_path: Path) -> None:
    nobody = write_no_champion(tmp_path)
    with pytest.raises(StepError) as stopped:
        validate(log, nobody, ValidatePolicy(), tmp_path / "apart")
    for words in ("users-apart", "future-apart", "quarantine-small", "--set validate.users=returning"):
        assert words in str(stopped.value)
    verdict = validate(log, nobody, ValidatePolicy(users="returning"), tmp_path / "returning")
    assert verdict["passed"]
    failed = {rule["name"]: rule["severity"] for rule in verdict["rules"] if not rule["passed"]}
    assert failed.pop("rows-distinct") == "quarantine", "two rows of this log are equal; the policy is not about those"
    assert failed == {"users-apart": "warn", "future-apart": "warn", "target-not-in-history": "warn"}
