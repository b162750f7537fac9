"""Vectors that come with the data: whether they are finite, vary, and belong to their item."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from components.dataset import layout
from components.validate.catalogue import Catalogue
from components.validate.measured import Line, Measured
from components.validate.parquet import ContractFile, Ints

Floats = npt.NDArray[np.float64]
_BATCH_ROWS = 4096  # x 1024 dimensions x 8 bytes: 34 MB
_ABSURD = 1e6  # no encoder gives such values; a few products of them would leave float32's range
_PROJECTED = 64  # dimensions kept of each vector to compare items with


@dataclass
class Vectors:
    """A column of vectors, summed up in one pass."""

    column: str
    width: int = 0
    rows: int = 0
    not_finite: int = 0
    wrong_width: int = 0
    zero: int = 0
    total: Floats = field(default_factory=lambda: np.zeros(0))
    squares: Floats = field(default_factory=lambda: np.zeros(0))
    low: Floats = field(default_factory=lambda: np.zeros(0))
    high: Floats = field(default_factory=lambda: np.zeros(0))
    hashes: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    ids: list[Ints] = field(default_factory=list)
    small: list[Floats] = field(default_factory=list)  # random projection, which keeps similarities
    bad_items: list[int] = field(default_factory=list)

    def add(self, ids: Ints, flat: Floats, lengths: Ints) -> None:
        if not self.width:
            self.width = int(np.bincount(lengths).argmax()) if len(lengths) else 0
            self.total, self.squares = np.zeros(self.width), np.zeros(self.width)
            self.low, self.high = np.full(self.width, np.inf), np.full(self.width, -np.inf)
        right = lengths == self.width
        self.wrong_width += int((~right).sum())
        if not self.width:
            self.wrong_width += len(ids)  # lists without a single number
            return
        values = flat[np.repeat(right, lengths)].reshape(-1, self.width)
        ids = ids[right]
        finite = (np.abs(values) < _ABSURD).all(axis=1)  # False for NaN as well
        self.not_finite += int((~finite).sum())
        self.bad_items += ids[~finite][:10].tolist()
        values, ids = values[finite], ids[finite]
        self.rows += len(values)
        self.zero += int((~values.any(axis=1)).sum())
        if not len(values):
            return
        self.total += values.sum(axis=0)
        self.squares += (values**2).sum(axis=0)
        self.low, self.high = np.minimum(self.low, values.min(axis=0)), np.maximum(self.high, values.max(axis=0))
        random = np.random.default_rng(11)
        multipliers = random.integers(1, 2**63, self.width, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self.hashes.append((np.ascontiguousarray(values).view(np.uint64) * multipliers).sum(axis=1, dtype=np.uint64))
        self.ids.append(ids)
        kept = min(_PROJECTED, self.width)
        self.small.append(values @ random.standard_normal((self.width, kept)))

    @property
    def mean(self) -> Floats:
        return self.total / max(1, self.rows)

    @property
    def spread(self) -> float:
        """The standard deviation over all dimensions."""
        return float(np.sqrt(max(0.0, (self.squares / max(1, self.rows) - self.mean**2).sum())))

    def line(self) -> Line:
        hashes = np.concatenate(self.hashes) if self.hashes else np.zeros(0, np.uint64)
        filled = self.rows - self.zero
        top = int(np.unique(hashes, return_counts=True)[1].max()) if len(hashes) else 0
        return {
            "column": self.column,
            "width": self.width,
            "vectors": self.rows,
            "not_finite": self.not_finite,
            "wrong_width": self.wrong_width,
            "zero_share": self.zero / self.rows if self.rows else np.nan,
            # All-zero vectors have a rule of their own.
            "top_vector_share": top / self.rows if filled and self.rows else np.nan,
            "constant_dimensions_share": float((self.low == self.high).mean()) if filled > 1 else np.nan,
        }

    def similarity(self, first: Ints, second: Ints) -> Floats:
        """Cosine of the vectors of two lists of items; NaN where an item has none."""
        ids, small = np.concatenate(self.ids), np.concatenate(self.small)
        centred = small - small.mean(axis=0)
        unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        order = np.argsort(ids, kind="stable")
        places = [np.searchsorted(ids[order], wanted).clip(max=len(ids) - 1) for wanted in (first, second)]
        found = [ids[order][place] == wanted for place, wanted in zip(places, (first, second), strict=True)]
        a, b = (unit[order][place] for place in places)
        return np.where(found[0] & found[1], (a * b).sum(axis=1), np.nan)


def read_vectors(source: ContractFile, column: str, skip_padding: bool) -> Vectors:
    vectors = Vectors(column)
    for _, _, batch in source.batches([layout.ITEM, column], batch_rows=_BATCH_ROWS):
        ids = source.integers(batch, layout.ITEM)
        flat, lengths = source.lists(batch, column)
        with np.errstate(invalid="ignore"):  # some NaN say so while they are widened
            values = flat.to_numpy(zero_copy_only=False).astype(np.float64)
        if skip_padding:
            real = ids != 0
            values, ids, lengths = values[np.repeat(real, lengths)], ids[real], lengths[real]
        vectors.add(ids, values, lengths)
    return vectors


def measure_vectors(sources: dict[str, ContractFile], measured: Measured) -> list[Vectors]:
    found = [
        read_vectors(source, column, skip_padding=True)
        for source, column in (
            (sources["item_feature"], layout.TEXT_EMBEDDING),
            (sources["item_feature"], layout.IMAGE_EMBEDDING),
            (sources.get("item_info"), layout.ITEM_EMBEDDING),
        )
        if source is not None and source.usable and source.has(column)
    ]
    if not found:
        measured.missing("embeddings", "the dataset has no precomputed vectors: they are optional")
        return []
    measured.add("embeddings", "column", [vectors.line() for vectors in found])
    measured.counts["embeddings.not_finite"] = sum(vectors.not_finite for vectors in found)
    measured.examples["embeddings.not_finite"] = [
        {"column": vectors.column, "item_id": item} for vectors in found for item in vectors.bad_items
    ]
    return found


def measure_item_info(sources: dict[str, ContractFile], catalogue: Catalogue, measured: Measured) -> None:
    source = sources.get("item_info")
    if source is None or not source.usable:
        measured.missing(
            "item_info",
            "item_info.parquet is optional: the embedding step makes it"
            if source is None
            else "item_info.parquet could not be read",
        )
        return
    ids_parts, codes_parts, widths_parts = [], [], []
    for _, _, batch in source.batches([layout.ITEM, layout.TAGS], batch_rows=_BATCH_ROWS):
        ids_parts.append(source.integers(batch, layout.ITEM))
        codes, widths = source.integer_lists(batch, layout.TAGS)
        codes_parts.append(codes)
        widths_parts.append(widths)
    if not ids_parts:
        measured.missing("item_info", "item_info.parquet has no row that can be read")
        return
    ids = np.concatenate(ids_parts)
    problem = ""
    misplaced = np.flatnonzero(ids != np.arange(len(ids)))
    if len(misplaced):
        row = int(misplaced[0])
        problem = f"row {row} holds item {ids[row]} ({len(misplaced)} of {len(ids)} rows are not their item's)"
    elif catalogue.readable and len(catalogue.ids) and int(catalogue.ids.max()) >= len(ids):
        problem = f"ends at item {len(ids) - 1}, item_feature at {int(catalogue.ids.max())}"
    line: Line = {"file": "item_info.parquet", "rows": len(ids), "rows_problem": problem}
    share = _tags_mismatch(ids, np.concatenate(codes_parts), np.concatenate(widths_parts), catalogue)
    if share is not None:
        line["tags_mismatch_share"] = share
    else:
        measured.missing("item_info.tags_mismatch_share", "item_feature has tags as texts, item_info as codes")
    measured.add("item_info", "file", [line])


def _tags_mismatch(ids: Ints, tags: Ints, widths: Ints, catalogue: Catalogue) -> float | None:
    """The share of items whose sets of tags differ. Only where item_feature has tags as numbers as well."""
    if not catalogue.readable or not all(name.lstrip("-").isdecimal() for name in catalogue.tag_names):
        return None
    numbers = np.array([int(name) for name in catalogue.tag_names] or [0], np.int64)
    ours = _keys(
        numbers[catalogue.tag_codes] if len(catalogue.tag_codes) else catalogue.tag_codes, catalogue.tag_counts
    )
    theirs = _keys(tags, widths)
    places = catalogue.place(ids)
    both = (places >= 0) & (ids != 0)
    return float((theirs[both] != ours[places[both]]).mean()) if both.any() else None


def _keys(tags: Ints, widths: Ints) -> npt.NDArray[np.uint64]:
    """The same number for the same tags in whatever order; 0, the padding, adds nothing."""
    x = tags.astype(np.uint64)
    mixed = (x ^ (x >> np.uint64(3))) * np.uint64(0x9E3779B97F4A7C15) * (x + np.uint64(1))
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(np.where(tags != 0, mixed, 0), dtype=np.uint64)])
    ends = np.cumsum(widths)
    return np.asarray(total[ends] - total[ends - widths])
