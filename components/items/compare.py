"""Which items of a data set are new to a version, or have changed since it was registered."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from components.batches.item_table import item_features
from components.dataset.item_ids import read_item_ids, renumbered
from components.dataset.layout import ITEM_IDS, item_feature_path
from components.embed.apply import ItemVectors
from components.errors import StepError
from components.packages.item_rows import ItemRows
from components.packages.scores import Mask
from components.schema.declared import read_schema
from components.schema.encoder import NUMBERED, Encoder
from model.ranker import Ranker

# Two machines encode the same picture up to rounding. A vector that differs by less, as a share of its own length,
# counts as the same, so that known items keep their scores to the last bit.
SAME = 1e-4


@dataclass(frozen=True)
class Difference:
    """Places in the rows that were compared."""

    new: npt.NDArray[np.int64]
    changed: npt.NDArray[np.int64]


def rows_of(dataset: Path, found: ItemVectors, ranker: Ranker, encoder: Encoder, of: tuple[int, str]) -> ItemRows:
    """The items as the version reads them. `of` is its number and the hash of its files."""
    if found.vectors.shape[1] != ranker.vocabulary.content:
        raise StepError(
            f"the data's item vectors have {found.vectors.shape[1]} numbers, those of version {of[0]} "
            f"{ranker.vocabulary.content}: train a new version"
        )
    codes, numbers = item_features(item_feature_path(dataset), int(found.ids.max()) + 1, encoder)
    tags = ranker.vocabulary.item[0]
    known_tags = np.where(found.tags < tags.codes, found.tags, 0)[:, : tags.width]
    blocks = np.concatenate([known_tags, codes[found.ids]], axis=1), numbers[found.ids]
    if not blocks[1].shape[1]:  # the table has one column of zeros then
        blocks = blocks[0], np.zeros((len(found.ids), 1), np.float32)
    own = {number: text for text, number in (read_item_ids(dataset).number or {}).items()}
    texts = np.array([own.get(number, "") for number in found.ids.tolist()], np.str_)
    return ItemRows(found.ids, *blocks, found.vectors, texts, *of)


def refuse_other_numbers(dataset: Path, package: Path, version: int) -> None:
    if renumbered(read_item_ids(dataset), read_item_ids(package)) is not NUMBERED:
        raise StepError(
            f"{dataset}: its {ITEM_IDS} gives items other numbers than that of version {version}: import the log again "
            "with --ids-from and the data set of that version"
        )


def refuse_other_features(dataset: Path, encoder: Encoder, version: int) -> None:
    """What is declared today must be what the version was trained with."""
    trained = {feature.name for feature in encoder.item}
    columns = set(pq.read_schema(item_feature_path(dataset)).names)
    if missing := sorted(trained - columns):
        raise StepError(f"item_feature.parquet has no column {missing[0]!r}, which version {version} reads of items")
    schema = read_schema(dataset)
    if schema.from_file and (added := sorted({feature.name for feature in schema.item} - trained)):
        raise StepError(
            f"features.yaml declares the item feature {added[0]!r}, which version {version} was trained without: train "
            "a new version, or take the feature out until then"
        )


def difference(rows: ItemRows, ranker: Ranker, known: Mask) -> Difference:
    there = np.zeros(len(rows.ids), dtype=bool)
    inside = rows.ids < len(known)
    there[inside] = known[rows.ids[inside]]
    places = np.flatnonzero(there)
    ids, table = rows.ids[places], ranker.table
    codes, numbers, content = (column.numpy()[ids] for column in (table.codes_NX, table.numbers_NX, table.content_NC))
    now = rows.content[places]
    apart = np.linalg.norm(content - now, axis=1) > SAME * np.linalg.norm(content, axis=1)
    numbers_apart = ~((numbers == rows.numbers[places]) | (np.isnan(numbers) & np.isnan(rows.numbers[places])))
    changed = apart | numbers_apart.any(1) | (codes != rows.codes[places]).any(1)
    return Difference(np.flatnonzero(~there), places[changed])
