"""Items that train shows too seldom, or not for a long time, have no id embedding of their own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from components.errors import StepError
from components.train import worker
from components.train.admission import admitted_items
from components.train.config import TrainConfig
from components.train.job import prepare_job
from model import checkpoint
from tests.tiny_training import ITEMS, recipe, write_inputs

DAY = 24 * 3600
SEEN = [(1, 0), (1, 9), (2, 5), (3, 1), (3, 2), (4, 10)]  # (item, day)


def _rows(timed: bool = True) -> Any:
    items, days = (np.array(column) for column in zip(*SEEN, strict=True))
    return SimpleNamespace(item=items, time=days * DAY if timed else None)


@pytest.mark.parametrize(
    ("min_count", "days", "admitted"),
    [(1, 0, [1, 2, 3, 4]), (2, 0, [1, 3]), (0, 5, [1, 2, 4]), (0, 4.9, [1, 4]), (2, 5, [1]), (7, 0, [])],
)
def test_admitted_are_those_that_came_often_enough_and_lately(min_count: int, days: float, admitted: list[int]) -> None:
    config = TrainConfig(id_min_count=min_count, id_max_age_days=days)
    found = admitted_items(_rows(), 6, config)
    assert found is not None
    assert np.flatnonzero(found).tolist() == [0, *admitted]


def test_without_a_limit_all_items_are_admitted_and_age_needs_times() -> None:
    assert admitted_items(_rows(timed=False), 6, TrainConfig()) is None
    with pytest.raises(StepError, match=r"id_max_age_days .* train\.parquet has no column 'time'"):
        admitted_items(_rows(timed=False), 6, TrainConfig(id_max_age_days=1.0))


def test_an_item_that_is_not_admitted_is_scored_by_its_features_and_content_alone(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path)
    counts = np.bincount(prepare_job(inputs, recipe(), tmp_path / "work").rows()[0].item, minlength=ITEMS)
    limit = int(np.median(counts[1:]))
    job = prepare_job(inputs, recipe(id_min_count=limit, max_epochs=1, calibration="none"), tmp_path / "work")
    job.write()
    worker.run(job, lambda step, metrics: None)  # noqa: ARG005
    ranker = checkpoint.load(job.results / "model.safetensors")
    without_id = (ranker.item_encoder.id.weight == 0).all(1).numpy()
    assert np.array_equal(without_id[1:], counts[1:] < limit)
    rare = torch.from_numpy(np.flatnonzero(without_id)[1:3])
    for column in (ranker.table.codes_NX, ranker.table.content_NC):
        column[rare[1]] = column[rare[0]]
    one, other = ranker.encode(rare).items_UD
    assert torch.equal(one, other)
