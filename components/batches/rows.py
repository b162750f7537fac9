"""The rows of one split as memory-mapped arrays: converted from parquet once, then read in place.

    records   one short record a row (16 bytes for the challenge), so that a row costs one cache miss
    history   all histories one after another, newest item last, without padding
    events    the features of each item in `history`, if the data set declares features of events
    user      in a file of its own, because training never reads it
    time      if the split has the column: when each row happened, in seconds since 1970

Position 0 of `history` holds the padding id: a gather that reaches before the start of a row's history is sent there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.batches.convert import FORMAT, HISTORY_TYPE, NO_LABEL, TIME_TYPE, USER_TYPE, convert
from components.dataset.layout import LABEL
from components.errors import StepError
from components.schema.challenge import CHALLENGE
from components.schema.encoder import NUMBERED, Encoder, ItemIds
from components.storage.files import read_json, sha256_file, sha256_json
from components.storage.verified import made_once, require

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RowStore:
    """Columns of a split. `records`, `history_flat`, `events`, `user` and `time` are read-only maps of files.

    A record holds the codes and the numbers of the row's features, as `Encoder.rows` made them. An entry of `events`
    holds those of the entry of `history_flat` at the same place.
    """

    folder: Path
    records: Array
    history_flat: Array
    user: Array
    max_item: int
    events: Array | None = None  # None: the data set declares no features of events
    mean_weight: float | None = None  # None: the split has no weights
    time: Array | None = None  # None: the split has no times

    @classmethod
    def build(
        cls,
        parquet: Path,
        cache_dir: Path,
        exclude: Iterable[int] = (),
        encoder: Encoder = CHALLENGE,
        ids: ItemIds = NUMBERED,
    ) -> "RowStore":
        """Converts `parquet` without the row numbers in `exclude`, or opens what an earlier call converted.

        `ids` says what the items are called in these rows, if not by the numbers of the item table.
        """
        if not parquet.is_file():
            raise StepError(f"{parquet} is missing: the dataset must hold it, see the data contract in the README")
        excluded = np.unique(np.fromiter(exclude, dtype=np.int64))
        saved = encoder.to_json()
        made_of = [FORMAT, sha256_file(parquet), excluded.tolist(), saved["row"], saved["event"]]
        key = sha256_json(made_of if ids.number is None else [*made_of, dict(ids.number)])[:32]
        folder = cache_dir / key
        made_once(folder, lambda scratch: convert(parquet, scratch, excluded, encoder, ids))
        return cls._mapped(folder)

    @classmethod
    def open(cls, folder: Path) -> "RowStore":
        require(folder, "run the command again; it converts the rows anew")
        return cls._mapped(folder)

    @classmethod
    def _mapped(cls, folder: Path) -> "RowStore":
        meta = read_json(folder / "meta.json")
        records = _map(folder / "records", _dtype(meta["record"]))
        history, user = _map(folder / "history", HISTORY_TYPE), _map(folder / "user", USER_TYPE)
        events = _map(folder / "events", _dtype(meta["event"])) if meta["event"] else None
        time = _map(folder / "time", TIME_TYPE) if meta["timed"] else None
        return cls(folder, records, history, user, meta["max_item"], events, meta["mean_weight"], time)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def item(self) -> Array:
        return np.asarray(self.records["item"])

    @property
    def codes(self) -> Array:
        return np.asarray(self.records["codes"])

    @property
    def numbers(self) -> Array:
        return np.asarray(self.records["numbers"])

    @property
    def lengths(self) -> Array:
        """Real items in each history."""
        return np.asarray(self.records["length"])

    @property
    def has_labels(self) -> bool:
        return len(self) > 0 and int(self.records["label"][0]) != NO_LABEL

    @property
    def label(self) -> Array:
        if not self.has_labels:
            raise StepError(f"these rows have no {LABEL!r} column: only a labelled split can be learned or measured on")
        return np.asarray(self.records["label"])

    def history(self, length: int, rows: Array | None = None) -> Array:
        """The newest `length` items of each row, oldest first, padded with 0 on the left."""
        return gather_history(self.history_flat, self.records if rows is None else self.records[rows], length)


def gather_history(flat: Array, records: Array, length: int) -> Array:
    """`flat` is `history_flat` or `events`."""
    start = records["start"]
    positions = (start + records["length"] - length)[:, None] + np.arange(length)
    positions[positions < start[:, None]] = 0
    gathered: Array = flat[positions]
    return gathered


def names_item(known: Array, ids: Array) -> Array:
    """Whether each id names an item; `known` says so by id, and ids beyond its end name none."""
    inside = (ids >= 0) & (ids < len(known))
    return np.asarray(inside & known[np.where(inside, ids, 0)])


def known_histories(flat: Array, records: Array, known: Array) -> tuple[Array, Array]:
    """These rows without the items that `known` does not mark: (positions in `flat` of what is left of their
    histories, records that point into those positions).

    They are removed from histories, and as a target they become the padding item: a catalogue has items that are newer
    than the model.
    """
    lengths = records["length"].astype(np.int64)
    ends = np.cumsum(lengths)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    positions = np.repeat(records["start"], lengths) + within
    kept = names_item(known, flat[positions])
    before = np.concatenate([[0], np.cumsum(kept)])
    rewritten = records.copy()
    rewritten["start"] = 1 + before[ends - lengths]
    rewritten["length"] = before[ends] - before[ends - lengths]
    rewritten["item"] = np.where(names_item(known, records["item"]), records["item"], 0)
    return np.concatenate([np.zeros(1, np.int64), positions[kept]]), rewritten


def _dtype(fields: list[Any]) -> np.dtype[Any]:
    """As meta.json holds it."""
    return np.dtype([(name, kind, *map(tuple, shape)) for name, kind, *shape in fields])


def _map(path: Path, dtype: np.dtype[Any]) -> Array:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(path, dtype, mode="r"))
