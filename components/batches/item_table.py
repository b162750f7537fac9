"""The item table of a training: tags and frozen content from the embeddings, features from the raw items."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.batches.rows import RowStore
from components.dataset.layout import ITEM, ITEM_EMBEDDING, TAGS, item_feature_path
from components.errors import StepError
from components.schema.challenge import CHALLENGE
from components.schema.encoder import Encoder, FeatureError
from components.schema.fitted import model_features, raw_column
from model.checks import all_finite
from model.config import Feature, Vocabulary
from model.items import ItemTable

Array = npt.NDArray[Any]


def load_item_table(item_info: Path, dataset: Path, encoder: Encoder = CHALLENGE) -> tuple[ItemTable, Vocabulary]:
    """The table with every item marked as seen in train; `train` itself marks those of its own rows."""
    arrays = item_arrays(item_info, dataset, encoder)
    return table_from(arrays), vocabulary_of(arrays, encoder)


def item_arrays(item_info: Path, dataset: Path, encoder: Encoder = CHALLENGE) -> dict[str, Array]:
    """codes [N, X] (the tags first), numbers [N, X] and content [N, C]; row 0 is the padding item, row i is item i."""
    if not item_info.is_file():
        raise StepError(f"{item_info} is missing: the embedding step writes it")
    table = pq.read_table(item_info)
    ids = table.column(ITEM).to_numpy()
    if not np.array_equal(ids, np.arange(len(ids))):
        raise StepError(f"{item_info}: row i must be item i, from the padding row 0 on; run the embedding step again")
    tags = _matrix(table.column(TAGS), item_info, TAGS).astype(np.int64, copy=False)
    content = _matrix(table.column(ITEM_EMBEDDING), item_info, ITEM_EMBEDDING).astype(np.float32, copy=False)
    if not all_finite(content):
        raise StepError(f"{item_info}: column {ITEM_EMBEDDING!r} holds values that are not finite")
    codes, numbers = item_features(item_feature_path(dataset), len(ids), encoder)
    return {"codes": np.concatenate([tags, codes], axis=1), "numbers": numbers, "content": content}


def table_from(arrays: dict[str, Array]) -> ItemTable:
    return ItemTable.from_arrays(arrays["codes"], arrays["content"], arrays["numbers"], arrays.get("seen"))


def seen_items(rows: RowStore, items: int) -> Array:
    """Which items the rows hold, as a target or in a history. The padding item does not count."""
    seen = np.zeros(items, dtype=bool)
    seen[rows.item] = True
    seen[rows.history_flat] = True
    seen[0] = False
    return seen


def vocabulary_of(arrays: dict[str, Array], encoder: Encoder = CHALLENGE) -> Vocabulary:
    features = model_features(encoder.item)
    width = arrays["codes"].shape[1] - sum(feature.width for feature in features if feature.codes)
    tags = Feature(TAGS, max(2, int(arrays["codes"][:, :width].max(initial=0)) + 1), width)
    return Vocabulary(
        items=len(arrays["codes"]),
        content=arrays["content"].shape[1],
        item=(tags, *features),
        row=model_features(encoder.row),
        event=model_features(encoder.event),
    )


def item_features(item_feature: Path, items: int, encoder: Encoder) -> tuple[Array, Array]:
    """The codes and numbers of the items' features by id; zero where nothing is known of an item."""
    table = pq.read_table(item_feature, columns=[ITEM, *(feature.name for feature in encoder.item)])
    ids = table.column(ITEM).to_numpy()
    known = (ids > 0) & (ids < items)
    raw = {feature.name: raw_column(table.column(feature.name)) for feature in encoder.item}
    try:
        found = encoder.items(raw, len(ids))
    except FeatureError as error:
        raise StepError(f"{item_feature}: {error}") from None
    codes, numbers = (np.zeros((items, block.shape[1]), block.dtype) for block in found)
    codes[ids[known]], numbers[ids[known]] = found[0][known], found[1][known]
    return codes, numbers


def _matrix(column: pa.ChunkedArray, path: Path, name: str) -> Array:
    lists = column.combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    if len(lists) == 0 or len(flat) % len(lists) or lists.null_count:
        raise StepError(f"{path}: the lists in column {name!r} must all have the same length")
    return np.asarray(flat).reshape(len(lists), -1)
