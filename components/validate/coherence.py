"""Whether content belongs to its items. Items that are clicked one after another resemble each other more than items
drawn at random. If content was assigned to the wrong items, every value is still valid, but this resemblance is gone.
"""

import numpy as np
import numpy.typing as npt

from components.validate.catalogue import Catalogue
from components.validate.measured import Line, Measured
from components.validate.parquet import Ints
from components.validate.rows import SplitRows
from components.validate.vectors import Floats, Vectors

_FEWEST = 500  # pairs that are needed to decide anything
_MOST = 50_000
_TAGS = 8  # compared of an item


def measure_coherence(
    train: SplitRows | None, catalogue: Catalogue, vectors: list[Vectors], measured: Measured
) -> None:
    first, second = _neighbours(train)
    if len(first) < _FEWEST:
        measured.missing("content", f"fewer than {_FEWEST} pairs of clicks in succession could be read")
        return
    shuffled = np.random.default_rng(13).permutation(second)
    lines: list[Line] = []
    if len(catalogue.tag_codes):
        lines.append(_line("tags", shared_tags(catalogue, first, second), shared_tags(catalogue, first, shuffled)))
    for column in vectors:
        if column.rows > 1:
            lines.append(_line(column.column, column.similarity(first, second), column.similarity(first, shuffled)))
    measured.add("content", "content", lines)


def _neighbours(train: SplitRows | None) -> tuple[Ints, Ints]:
    if train is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    sample = train.sample()
    follows = np.flatnonzero(sample.rows[1:] == sample.rows[:-1])[:_MOST]
    return sample.clicks[follows], sample.clicks[follows + 1]


def _line(name: str, neighbours: Floats, chance: Floats) -> Line:
    neighbours, chance = neighbours[np.isfinite(neighbours)], chance[np.isfinite(chance)]
    if min(len(neighbours), len(chance)) < _FEWEST:
        return {"content": name, "coherence": np.nan}
    error = np.sqrt(neighbours.var() / len(neighbours) + chance.var() / len(chance))
    gain = float(neighbours.mean() - chance.mean())
    return {
        "content": name,
        "likeness_of_neighbours": float(neighbours.mean()),
        "likeness_by_chance": float(chance.mean()),
        # No variance at all: the same content everywhere, which other rules name.
        "coherence": gain / float(error) if error > 0 else np.nan,
    }


def shared_tags(catalogue: Catalogue, first: Ints, second: Ints) -> Floats:
    a, b = (_tag_matrix(catalogue)[catalogue.place(ids)] for ids in (first, second))
    shared = ((a[:, :, None] == b[:, None, :]) & (a[:, :, None] >= 0)).any(axis=2).sum(axis=1).astype(np.float64)
    unknown = (catalogue.place(first) < 0) | (catalogue.place(second) < 0)
    return np.where(unknown | (first == second), np.nan, shared)


def _tag_matrix(catalogue: Catalogue) -> npt.NDArray[np.int64]:
    """One row an item, -1 where there is no tag."""
    counts = catalogue.tag_counts
    rows = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    matrix = np.full((len(counts), _TAGS), -1, np.int64)
    padding = np.array([name == "0" for name in catalogue.tag_names])
    keep = (within < _TAGS) & ~padding[catalogue.tag_codes]
    matrix[rows[keep], within[keep]] = catalogue.tag_codes[keep]
    return matrix
