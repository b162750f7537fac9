"""Which labelled rows choose the epoch that is kept, and which rows measure the model that came of it.

Where test has labels, training stops on valid and the model is measured on test. If it has none, valid serves both
purposes. No row may serve both, or the candidate would look better than it is. Its users are split in two by a hash of
their id, so each user falls into the same half in every run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from components.dataset.layout import LABEL, USER, split_path
from components.errors import StepError

Quarantine = Mapping[str, Sequence[int]]  # row numbers by split that validation set aside
_FIBONACCI = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: its products spread evenly over all bits


def measured_split(dataset: Path) -> tuple[str, str]:
    """The split that the model is measured on, and a sentence about it for the report."""
    test = split_path(dataset, "test")
    if not test.is_file():
        raise StepError(f"{test} is missing: the dataset must hold it, see the data contract in the documentation")
    if LABEL in pq.read_schema(test).names:
        return "test", "The test split, which training never saw."
    return "valid", (
        "One half of the users of the valid split, because test has no labels. Training chose its best epoch on the "
        "other half."
    )


def measuring_left_out(dataset: Path, quarantine: Quarantine) -> list[int]:
    """Row numbers of the measured split that measuring leaves out."""
    split, _ = measured_split(dataset)
    return _without(dataset, quarantine, split, stops=True)


def stopping_left_out(dataset: Path, quarantine: Quarantine) -> list[int]:
    """Row numbers of valid that choosing the epoch leaves out."""
    return _without(dataset, quarantine, "valid", stops=False)


def _without(dataset: Path, quarantine: Quarantine, split: str, stops: bool) -> list[int]:
    """The quarantine and, where valid serves both purposes, the half that stops training or the half that does not."""
    faulty = [int(row) for row in quarantine.get(split, ())]
    if measured_split(dataset)[0] == "test":
        return faulty
    table = pq.read_table(split_path(dataset, "valid"), columns=[USER, LABEL])
    half = _stops(table.column(USER).to_numpy())
    left_out = np.union1d(np.flatnonzero(half == stops), np.asarray(faulty, dtype=np.int64))
    labels = np.delete(table.column(LABEL).to_numpy(), left_out)
    if min(int(labels.sum()), len(labels) - int(labels.sum())) < 2:
        purpose = "measure the model" if stops else "choose the best epoch"
        raise StepError(
            f"{dataset}: test has no labels, so one half of the users of valid.parquet must {purpose}, and that half "
            f"has {int(labels.sum())} clicks among {len(labels)} rows; it needs two of each kind: give test labels, or "
            "valid more users"
        )
    return [int(row) for row in left_out]


def _stops(users: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    mixed = users.astype(np.uint64) * _FIBONACCI
    mixed = (mixed ^ (mixed >> np.uint64(32))) * _FIBONACCI
    return np.asarray(mixed >> np.uint64(63) == 1)
