"""The items: one row an id, with a title, tags and the levels that features.yaml or the challenge's layout declares."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import layout
from components.dataset.footers import is_text
from components.schema.declared import Schema
from components.validate.measured import Measured
from components.validate.parquet import Bools, ContractFile, Ints

_UNKNOWN = -1
Table = npt.NDArray[np.int16] | Ints  # by item id


@dataclass
class Catalogue:
    """What item_feature says about each id, as arrays indexed by the id."""

    ids: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    readable: bool = False
    places: Ints = field(
        default_factory=lambda: np.zeros(0, np.int64)
    )  # id -> its row of item_feature; -1: no such item
    levels: dict[str, npt.NDArray[np.int16]] = field(default_factory=dict)  # feature -> id -> level
    tag_codes: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # tags of all items end to end
    tag_counts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # of each row of item_feature
    tag_names: list[str] = field(default_factory=list)  # code -> the tag, as text

    def knows(self, ids: Ints) -> Bools:
        return np.asarray(self.place(ids) != _UNKNOWN)

    def shared_levels(self, of_rows: dict[str, Ints]) -> list[str]:
        """The levels that both rows and items have."""
        return [name for name in of_rows if name in self.levels]

    def levels_differ(self, ids: Ints, of_rows: dict[str, Ints]) -> Bools:
        """Rows whose levels are not those of their item. Unknown items have a rule of their own."""
        differ = np.zeros(len(ids), np.bool_)
        for name in self.shared_levels(of_rows):
            differ |= self._look(self.levels[name], ids) != of_rows[name]
        return differ & self.knows(ids)

    def level_agreement(self, ids: Ints, of_rows: dict[str, Ints]) -> float:
        """The smallest of the correlations between the levels of the rows and those of their items."""
        known = self.knows(ids)
        pairs = [(self._look(self.levels[name], ids), of_rows[name]) for name in self.shared_levels(of_rows)]
        varied = [(a[known], b[known]) for a, b in pairs if known.any() and np.ptp(a[known]) and np.ptp(b[known])]
        return min((float(np.corrcoef(a, b)[0, 1]) for a, b in varied), default=np.nan)

    def place(self, ids: Ints) -> Ints:
        """The row of item_feature that describes each id; -1 without any."""
        return np.asarray(self._look(self.places, ids), np.int64)

    @staticmethod
    def _look(table: Table, ids: Ints) -> Table:
        if not len(table):
            return np.full(len(ids), _UNKNOWN, np.int64)
        inside = (ids >= 0) & (ids < len(table))
        return np.where(inside, table[np.where(inside, ids, 0)], _UNKNOWN)


def read_items(source: ContractFile, schema: Schema, max_item_id: int, measured: Measured) -> Catalogue:
    """Measures the tables `items` and `items_whole`, and returns the catalogue with which rows are compared."""
    if not source.usable:
        for table in ("items", "items_whole"):
            measured.missing(table, "item_feature.parquet could not be read")
        return Catalogue()
    frames, tag_parts = [], []
    sizes = {feature.name: feature.levels for feature in schema.item if feature.levels}
    tagged = source.has(layout.TAGS)
    columns = [layout.ITEM, *schema.texts, *([layout.TAGS] if tagged else []), *sizes]
    for _, _, batch in source.batches(columns, batch_rows=16_384):
        columns_of_items: dict[str, Any] = {
            layout.ITEM: source.integers(batch, layout.ITEM),
        }
        if schema.texts:
            columns_of_items[layout.TITLE] = _joined([batch.column(name) for name in schema.texts])
        if tagged:
            values, counts = source.lists(batch, layout.TAGS)
            columns_of_items |= {"tags": counts, "bad_tags": _bad_tags(values, counts)}
            tag_parts.append((values, counts))
        columns_of_items |= {name: source.integers(batch, name) for name in sizes}
        frames.append(pd.DataFrame(columns_of_items))
    if not frames:
        measured.missing("items", "item_feature.parquet has no row that can be read")
        return Catalogue()
    items = pd.concat(frames, ignore_index=True)
    return _catalogue(items, tag_parts, sizes, max_item_id, measured)


def _catalogue(
    items: pd.DataFrame,
    tag_parts: list[tuple[pa.Array, Ints]],
    sizes: dict[str, int],
    max_item_id: int,
    measured: Measured,
) -> Catalogue:
    ids = items[layout.ITEM].to_numpy()
    inside = (ids >= 0) & (ids <= max_item_id)
    places = np.full(int(ids[inside].max()) + 1 if inside.any() else 0, _UNKNOWN, np.int64)
    places[ids[inside]] = np.flatnonzero(inside)
    catalogue = Catalogue(ids, True, places)
    outside = np.zeros(len(items), np.int64)
    for name, size in sizes.items():
        levels = items.pop(name).to_numpy()
        wrong = (levels < 0) | (levels >= size)
        outside |= wrong
        catalogue.levels[name] = np.full(len(places), _UNKNOWN, np.int16)
        catalogue.levels[name][ids[inside]] = np.where(wrong, size, levels)[inside]
    if sizes:
        items["level_out_of_range"] = outside
    else:
        measured.missing("items.level_out_of_range", "no feature of the items has levels")
    whole = {"of": "item_feature", "items": int((ids != 0).sum())}
    if tag_parts:
        catalogue.tag_codes, catalogue.tag_names = _encode_tags([values for values, _ in tag_parts])
        catalogue.tag_counts = np.concatenate([counts for _, counts in tag_parts])
        items["tags"] = _real_tags(catalogue.tag_codes, catalogue.tag_counts, catalogue.tag_names)
        whole["top_tags_share"] = _top_share(_tag_keys(catalogue.tag_codes, catalogue.tag_counts)[ids != 0])
    else:
        for column in ("items.tags", "items.bad_tags", "items_whole.top_tags_share"):
            measured.missing(column, f"item_feature.parquet has no column {layout.TAGS}")
    described = items[ids != 0]  # row 0, where there is one, is padding: no title, no tag, no picture
    measured.add("items", layout.ITEM, described.reset_index(drop=True))
    if layout.TITLE in described:
        whole["top_title_share"] = _top_share(described[layout.TITLE].to_numpy())
    else:
        for column in ("items.item_title", "items_whole.top_title_share"):
            measured.missing(column, "features.yaml declares no text of items")
    measured.add("items_whole", "of", [whole])
    return catalogue


def _joined(texts: list[pa.Array]) -> list[str]:
    """What the text encoder reads of each item."""
    filled = [pc.fill_null(text.cast(pa.large_string()), "") for text in texts]
    joined: list[str] = pc.binary_join_element_wise(*filled, pa.scalar(" ", pa.large_string())).to_pylist()
    return joined


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
