"""Turns the raw values of features into the codes and numbers that the network reads.

Training, batch prediction and serving use this one file: a copy of it lies in every model package, beside the fitted
features that it reads, and the served model loads that copy. So it imports nothing but numpy and the standard library.

Code 0 of a category means "missing". Codes 1 to `buckets` are for values outside the vocabulary, chosen by a hash of
the value; then follow the values of the vocabulary in the order in which they were learned, so that a vocabulary that
grows keeps its codes. A category with `levels` has no vocabulary: its values are the whole numbers below `levels`, and
each is its own code.
"""

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float32]
Column = Sequence[Any] | npt.NDArray[Any]  # raw values
Histories = Sequence[Sequence[Any] | npt.NDArray[Any]]
FORMAT = 1
HIGHEST_ID = 2**63 - 1
UNKNOWN_ITEM = 2**31 - 1  # stands for each item that has no number; no item table is so long
_PARTS = ("row", "item", "event")


class FeatureError(ValueError):
    """One value that does not fit its feature."""

    def __init__(self, feature: str, row: int, value: Any, allowed: str) -> None:
        super().__init__(f"{feature}, row {row}: {value!r:.60}; must be {allowed}")
        self.feature, self.row, self.value, self.allowed = feature, row, value, allowed

    def at(self, row: int) -> "FeatureError":
        """The same, for callers that know the row by another number."""
        return FeatureError(self.feature, row, self.value, self.allowed)


@dataclass(frozen=True)
class ItemIds:
    """How rows name items: by their numbers in the item table, or by ids of a team's own.

    Own ids are texts. A whole number stands for its text, so that 7 and "7" name the same item. In a history, 0 and an
    empty text are padding.
    """

    number: Mapping[str, int] | None = None  # of an item by its own id; None: rows hold the numbers themselves

    def numbers(self, values: Sequence[Any], column: str, padded: bool = False) -> Codes:
        """UNKNOWN_ITEM where an own id is not known. Raises FeatureError, whose row is the place among the values."""
        lowest = 0 if padded else 1
        if self.number is None:
            integers = set(map(type, values)) <= {int}
            if integers and lowest <= min(values, default=1) and max(values, default=1) <= HIGHEST_ID:
                return np.array(values, np.int64)
            for place, value in enumerate(values):
                if not (_is_whole(value) and lowest <= value <= HIGHEST_ID):
                    raise FeatureError(column, place, plain(value), f"a whole number from {lowest} to {HIGHEST_ID}")
            return np.array([int(value) for value in values], np.int64)
        return np.array([self._of_own(value, place, column, padded) for place, value in enumerate(values)], np.int64)

    def _of_own(self, value: Any, place: int, column: str, padded: bool) -> int:
        assert self.number is not None
        if padded and (value == "" or (_is_whole(value) and value == 0)):
            return 0
        if not (value and isinstance(value, str)) and not _is_whole(value):
            raise FeatureError(column, place, plain(value), "an item's id, as a text or a whole number")
        return self.number.get(value if isinstance(value, str) else str(int(value)), UNKNOWN_ITEM)

    def own(self, values: Sequence[Any]) -> list[str] | None:
        """The own ids in these values as texts; None if rows hold numbers."""
        if self.number is None:
            return None
        return [value if isinstance(value, str) else str(int(value)) for value in values]


NUMBERED = ItemIds()  # rows hold the numbers of the item table


@dataclass(frozen=True)
class FittedFeature:
    """A feature with all that was learned of it in train."""

    name: str  # its column
    kind: str  # category, categories, number, or vector
    place: str | None = "both"  # of an item's feature: which items carry it
    of: str = "row"  # row, user, item, or event
    levels: int = 0
    values: tuple[str, ...] = ()  # the vocabulary, in the order of the codes
    buckets: int = 1
    width: int = 1  # values that one row or item can have, or numbers of its vector
    encoding: str = ""  # of a number: buckets, piecewise, or standardised
    edges: tuple[float, ...] = ()  # of buckets, and of piecewise-linear pieces
    mean: float = 0.0
    deviation: float = 1.0
    centre: tuple[float, ...] = ()  # of a vector: what it is measured from
    _code: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        first = 1 + self.buckets
        object.__setattr__(self, "_code", {value: first + place for place, value in enumerate(self.values)})

    @property
    def codes(self) -> int:
        """Rows that the embedding needs; 0 for a number that is not cut into buckets."""
        if self.levels:
            return self.levels
        if self.kind not in ("number", "vector"):
            return 1 + self.buckets + len(self.values)
        return len(self.edges) + 2 if self.encoding == "buckets" else 0

    @property
    def bins(self) -> int:
        return len(self.edges) - 1 if self.encoding == "piecewise" else 0

    def encode(self, values: Column) -> Codes | Numbers:
        """Codes [n, width], numbers [n], or vectors [n, width]. Raises FeatureError."""
        if self.kind == "number":
            return self._number(values)
        if self.kind == "vector":
            return np.asarray((self.as_vectors(values) - np.asarray(self.centre)) / self.deviation, np.float32)
        if self.kind == "category":
            if isinstance(values, list) and set(map(type, values)) == {int}:
                values = np.asarray(values)  # of Python's own numbers, where one is too large for a type of numpy
            if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":  # each distinct number is looked up once
                distinct, first, place = np.unique(values, return_index=True, return_inverse=True)
                return self._codes_of(zip(distinct, first.tolist(), strict=True))[place]
            return self._codes_of(zip(values, range(len(values)), strict=True))
        codes = np.zeros((len(values), self.width), np.int64)
        for row, several in enumerate(values):
            found = [self._code_of(value, row) for value in self._several(several, row)]
            found = [code for code in dict.fromkeys(found) if code][: self.width]
            codes[row, : len(found)] = found
        return codes

    def keys(self, values: Column) -> list[str]:
        """The values of the vocabulary that these raw values name; an empty text for a missing one."""
        if self.kind == "category":
            return [self._key(value, row) for row, value in enumerate(values)]
        return [self._key(value, row) for row, several in enumerate(values) for value in self._several(several, row)]

    def _codes_of(self, values: Iterable[tuple[Any, int]]) -> Codes:
        return np.array([self._code_of(value, row) for value, row in values], np.int64).reshape(-1, 1)

    def _code_of(self, value: Any, row: int) -> int:
        if self.levels:
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not (number and 0 <= value < self.levels and value == int(value)):
                raise FeatureError(self.name, row, plain(value), f"a whole number from 0 to {self.levels - 1}")
            return int(value)
        key = self._key(value, row)
        if not key:
            return 0
        code = self._code.get(key)
        return 1 + zlib.crc32(key.encode()) % self.buckets if code is None else code

    def _key(self, value: Any, row: int) -> str:
        """Texts and whole numbers name the same values: 7, 7.0 and "7" are one. Empty where there is no value."""
        if isinstance(value, str):
            return value
        if is_missing(value):
            return ""
        if isinstance(value, bool | int | np.integer | np.bool_) or (is_real(value) and float(value).is_integer()):
            return str(int(value))
        raise FeatureError(self.name, row, plain(value), "a text or a whole number, or missing")

    def _several(self, value: Any, row: int) -> Iterable[Any]:
        if isinstance(value, list | tuple | np.ndarray):
            return value
        if is_missing(value):
            return ()
        raise FeatureError(self.name, row, plain(value), "a list of texts or whole numbers, or missing")

    def _number(self, values: Column) -> Codes | Numbers:
        numbers = self.as_numbers(values)
        missing = np.isnan(numbers)
        if self.encoding == "buckets":
            codes = np.searchsorted(np.asarray(self.edges), numbers, side="right") + 1
            return np.where(missing, 0, codes).astype(np.int64).reshape(-1, 1)
        if self.encoding == "piecewise":
            placed = np.interp(numbers, self.edges, np.arange(len(self.edges)))
        else:
            placed = (numbers - self.mean) / self.deviation
        return np.where(missing, np.nan, placed).astype(np.float32)

    def as_numbers(self, values: Column) -> npt.NDArray[np.float64]:
        """NaN where there is no value."""
        if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
            numbers = values.astype(np.float64)
        else:
            numbers = np.array([self._as_number(value, row) for row, value in enumerate(values)], np.float64)
        infinite = np.flatnonzero(np.isinf(numbers))
        if len(infinite):
            row = int(infinite[0])
            raise FeatureError(self.name, row, plain(numbers[row]), "a finite number, or missing")
        return numbers

    def as_vectors(self, values: Column) -> npt.NDArray[np.float64]:
        """[n, width]; NaN where there is no vector."""
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "iuf":
            vectors = values.astype(np.float64)
            wrong = np.ones(len(vectors), bool) if vectors.shape[1] != self.width else ~np.isfinite(vectors).all(axis=1)
        else:
            vectors, wrong = np.full((len(values), self.width), np.nan), np.zeros(len(values), bool)
            for row, value in enumerate(values):
                if not is_missing(value):
                    wrong[row] = not self._take_vector(value, vectors[row])
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise FeatureError(self.name, row, plain(values[row]), f"a list of {self.width} finite numbers, or missing")
        return vectors

    def _take_vector(self, value: Any, into: npt.NDArray[np.float64]) -> bool:
        if not isinstance(value, list | tuple | np.ndarray) or len(value) != self.width:
            return False
        if not isinstance(value, np.ndarray) and not all(
            isinstance(number, int | float | np.number) and not isinstance(number, bool) for number in value
        ):
            return False
        into[:] = value
        return bool(np.isfinite(into).all())

    def _as_number(self, value: Any, row: int) -> float:
        if is_missing(value):
            return math.nan
        if isinstance(value, bool | int | np.integer | np.bool_) or is_real(value):
            return float(value)
        raise FeatureError(self.name, row, plain(value), "a number, or missing")


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def is_real(value: Any) -> bool:
    return isinstance(value, float | np.floating)


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    return isinstance(value, int | np.integer) or float(value).is_integer()


def is_missing(value: Any) -> bool:
    return value is None or (is_real(value) and math.isnan(value))


@dataclass(frozen=True)
class Encoder:
    """The fitted features of a data set: those of rows (and their users), of items, and of a history's events."""

    row: tuple[FittedFeature, ...]
    item: tuple[FittedFeature, ...]
    event: tuple[FittedFeature, ...] = ()

    def rows(self, columns: Mapping[str, Column], rows: int) -> tuple[Codes, Numbers]:
        """Codes [rows, X] and numbers [rows, X] of the rows' features, from one column of raw values for each."""
        return blocks(self.row, columns, rows)

    def items(self, columns: Mapping[str, Column], items: int) -> tuple[Codes, Numbers]:
        return blocks(self.item, columns, items)

    def events(self, columns: Mapping[str, Column], histories: Histories) -> tuple[Codes, Numbers]:
        """Codes [events, X] and numbers [events, X] of all histories, one after the other, without their padding.

        A column holds a list for each row, as long as its history; what stands beside padding (item 0) does not count.
        """
        kept = [np.flatnonzero(np.asarray(history)) for history in histories]
        flat = {
            feature.name: _flat_events(feature.name, columns[feature.name], histories, kept) for feature in self.event
        }
        try:
            return blocks(self.event, flat, sum(map(len, kept)))
        except FeatureError as error:
            row = int(np.searchsorted(np.cumsum([len(places) for places in kept]), error.row, side="right"))
            raise error.at(row) from None

    def to_json(self) -> dict[str, Any]:
        def saved(feature: FittedFeature) -> dict[str, Any]:
            return {name: value for name, value in asdict(feature).items() if not name.startswith("_")}

        return {"format": FORMAT, **{of: [saved(feature) for feature in getattr(self, of)] for of in _PARTS}}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Encoder":
        if saved.get("format") != FORMAT:
            raise ValueError(f"the fitted features have format {saved.get('format')!r}, this version reads {FORMAT}")
        return cls(*(tuple(_feature(values) for values in saved.get(of, ())) for of in _PARTS))

    @classmethod
    def read(cls, path: Path) -> "Encoder":
        return cls.from_json(json.loads(path.read_text()))


def _feature(values: Mapping[str, Any]) -> FittedFeature:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return FittedFeature(**fields)


def _flat_events(name: str, column: Column, histories: Histories, kept: Sequence[Codes]) -> Column:
    flat: list[Any] = []
    for row, (values, history, places) in enumerate(zip(column, histories, kept, strict=True)):
        several = [] if values is None else values
        if not isinstance(several, list | tuple | np.ndarray) or len(several) != len(history):
            raise FeatureError(
                name, row, values, f"a list with a value for each of the {len(history)} items of the history"
            )
        flat.extend(several[place] for place in places)
    return flat


def blocks(features: Sequence[FittedFeature], columns: Mapping[str, Column], length: int) -> tuple[Codes, Numbers]:
    """The features' codes side by side, and their numbers side by side, each in the order of the features."""
    return side_by_side([feature.encode(columns[feature.name]) for feature in features], length)


def side_by_side(encoded: Sequence[Codes | Numbers], length: int) -> tuple[Codes, Numbers]:
    codes = [np.zeros((length, 0), np.int64), *(block for block in encoded if block.dtype.kind == "i")]
    numbers = [block if block.ndim == 2 else block[:, None] for block in encoded if block.dtype.kind == "f"]
    return np.concatenate(codes, axis=1), np.concatenate([np.zeros((length, 0), np.float32), *numbers], axis=1)
