"""The items: one row an id, with a title, tags and levels."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import layout
from components.dataset.footers import is_text
from components.validate.measured import Measured
from components.validate.parquet import Bools, ContractFile, Ints

_UNKNOWN = -1
Levels = npt.NDArray[np.int16]


@dataclass
class Catalogue:
    """What item_feature says about each id, as arrays indexed by the id."""

    ids: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    readable: bool = False
    likes: Levels = field(default_factory=lambda: np.zeros(0, np.int16))  # -1: no such item
    views: Levels = field(default_factory=lambda: np.zeros(0, np.int16))
    tag_codes: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # tags of all items end to end
    tag_counts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # of each row of item_feature
    tag_names: list[str] = field(default_factory=list)  # code -> the tag, as text

    def knows(self, ids: Ints) -> Bools:
        return np.asarray(self._look(self.likes, ids) != _UNKNOWN)

    def levels_differ(self, ids: Ints, likes: Ints, views: Ints) -> Bools:
        """Rows whose levels are not those of their item. Unknown items have a rule of their own."""
        of_item = self._look(self.likes, ids)
        return np.asarray((of_item != _UNKNOWN) & ((of_item != likes) | (self._look(self.views, ids) != views)))

    def level_agreement(self, ids: Ints, likes: Ints, views: Ints) -> float:
        """The smaller of two correlations, for likes and for views, between the rows' levels and those of
        their items.
        """
        known = self.knows(ids)
        pairs = ((self._look(self.likes, ids), likes), (self._look(self.views, ids), views))
        varied = [(a[known], b[known]) for a, b in pairs if known.any() and np.ptp(a[known]) and np.ptp(b[known])]
        return min((float(np.corrcoef(a, b)[0, 1]) for a, b in varied), default=np.nan)

    def place(self, ids: Ints) -> Ints:
        """The row of item_feature that describes each id; -1 without any."""
        places = np.full(len(self.likes) + 1, _UNKNOWN, np.int64)
        small = (self.ids >= 0) & (self.ids < len(self.likes))
        places[self.ids[small]] = np.flatnonzero(small)
        return np.asarray(self._look(places[:-1], ids), np.int64)

    @staticmethod
    def _look(table: Levels | Ints, ids: Ints) -> Levels | Ints:
        if not len(table):
            return np.full(len(ids), _UNKNOWN, np.int64)
        inside = (ids >= 0) & (ids < len(table))
        return np.where(inside, table[np.where(inside, ids, 0)], _UNKNOWN)


def read_items(source: ContractFile, max_item_id: int, measured: Measured) -> Catalogue:
    """Measures the tables `items` and `items_whole`, and returns the catalogue with which rows are compared."""
    if not source.usable:
        for table in ("items", "items_whole"):
            measured.missing(table, "item_feature.parquet could not be read")
        return Catalogue()
    frames, tag_parts = [], []
    for _, _, batch in source.batches(
        [layout.ITEM, layout.TITLE, layout.TAGS, layout.LIKES, layout.VIEWS], batch_rows=16_384
    ):
        values, counts = source.lists(batch, layout.TAGS)
        titles = batch.column(layout.TITLE)
        source.integers(batch, layout.ITEM)
        frames.append(
            pd.DataFrame(
                {
                    layout.ITEM: source.integers(batch, layout.ITEM),
                    layout.TITLE: pc.fill_null(titles.cast(pa.large_string()), "").to_pylist(),
                    "tags": counts,
                    "bad_tags": _bad_tags(values, counts),
                    layout.LIKES: source.integers(batch, layout.LIKES),
                    layout.VIEWS: source.integers(batch, layout.VIEWS),
                }
            )
        )
        tag_parts.append((values, counts))
    if not frames:
        measured.missing("items", "item_feature.parquet has no row that can be read")
        return Catalogue()
    items = pd.concat(frames, ignore_index=True)
    return _catalogue(items, tag_parts, max_item_id, measured)


def _catalogue(
    items: pd.DataFrame, tag_parts: list[tuple[pa.Array, Ints]], max_item_id: int, measured: Measured
) -> Catalogue:
    likes, views = items.pop(layout.LIKES).to_numpy(), items.pop(layout.VIEWS).to_numpy()
    items["level_out_of_range"] = (
        (likes < 0) | (likes >= layout.LEVELS) | (views < 0) | (views >= layout.LEVELS)
    ).astype(np.int64)
    ids = items[layout.ITEM].to_numpy()
    codes, names = _encode_tags([values for values, _ in tag_parts])
    counts = np.concatenate([counts for _, counts in tag_parts])
    items["tags"] = _real_tags(codes, counts, names)
    described = items[ids != 0]  # row 0, where there is one, is padding: no title, no tag, no picture
    measured.add("items", layout.ITEM, described.reset_index(drop=True))
    measured.add(
        "items_whole",
        "of",
        [
            {
                "of": "item_feature",
                "items": len(described),
                "top_title_share": _top_share(described[layout.TITLE].to_numpy()),
                "top_tags_share": _top_share(_tag_keys(codes, counts)[ids != 0]),
            },
        ],
    )
    inside = (ids >= 0) & (ids <= max_item_id)
    size = int(ids[inside].max()) + 1 if inside.any() else 0
    catalogue = Catalogue(
        ids, True, np.full(size, _UNKNOWN, np.int16), np.full(size, _UNKNOWN, np.int16), codes, counts, names
    )
    # A level out of range is another rule's matter, but -1 must not read as "no such item".
    for table, levels in ((catalogue.likes, likes), (catalogue.views, views)):
        table[ids[inside]] = np.where((levels < 0) | (levels >= layout.LEVELS), layout.LEVELS, levels)[inside]
    return catalogue


def _bad_tags(values: pa.Array, counts: Ints) -> Ints:
    """How many tags of each item belong to no tag: negative numbers, blank texts. A 0 is padding."""
    if is_text(values.type):
        bad = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(pc.fill_null(values, ""))), 0)
    else:
        bad = pc.less(pc.fill_null(values, 0), 0)
    return _sums(bad.to_numpy(zero_copy_only=False).astype(np.int64), counts)


def _real_tags(codes: Ints, counts: Ints, names: list[str]) -> Ints:
    padding = np.array([name == "0" for name in names] or [False])
    return _sums((~padding[codes]).astype(np.int64) if len(codes) else codes, counts)


def _encode_tags(parts: list[pa.Array]) -> tuple[Ints, list[str]]:
    texts = pa.chunked_array([pc.fill_null(part.cast(pa.large_string()), "") for part in parts])
    encoded = texts.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()


def _tag_keys(codes: Ints, counts: Ints) -> Ints:
    """The same number for the same set of tags."""
    mixed = np.random.default_rng(7).integers(1, 2**40, int(codes.max(initial=0)) + 1)
    return _sums(mixed[codes], counts)


def _sums(values: Ints, counts: Ints) -> Ints:
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])
    ends = np.cumsum(counts)
    return np.asarray(total[ends] - total[ends - counts])


def _top_share(values: npt.NDArray[np.object_] | Ints) -> float:
    return float(pd.Series(values).value_counts(normalize=True).iloc[0]) if len(values) else np.nan
