"""The champion is scored as serving scores it, and one that cannot be scored is reported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from components.batches.rows import RowStore
from components.batches.scoring import score
from components.dataset.layout import HISTORY, ITEM, LIKES, VIEWS, split_path
from components.packages.scores import ChampionScores, score_champion
from components.statistics.auc import Floats
from components.storage.files import write_json
from model.ranker import Ranker

from .conftest import Folders, make_champion, ranker

CPU = torch.device("cpu")
OLD_CATALOGUE = 70  # items of the champion's time, the padding included; today there are 101


@pytest.fixture
def rows(sample: Path, tmp_path: Path) -> Any:
    return RowStore.build(split_path(sample, "test"), tmp_path / "rows")


def theirs(found: ChampionScores) -> Floats:
    assert found.scores is not None
    return found.scores


def test_no_champion_yet(folders: Folders, rows: RowStore) -> None:
    found = score_champion(folders.champion, lambda *_: rows, 256, CPU)
    assert found.facts == {"version": None, "status": "none", "reason": None, "unknown_rows": 0}


def test_a_champion_that_knows_every_item_scores_as_a_candidate(folders: Folders, rows: RowStore, sample: Path) -> None:
    made = ranker(sample, seed=2)
    make_champion(folders, made)
    found = score_champion(folders.champion, lambda *_: rows, 256, CPU)
    assert (found.status, found.version) == ("scored", "3")
    np.testing.assert_allclose(theirs(found), score(made, rows, 256, CPU).astype(float), rtol=1e-6)
    assert found.known is not None
    assert found.known.all()


def test_items_it_has_never_seen_are_unknown_items(folders: Folders, rows: RowStore, sample: Path) -> None:
    """Against the plain forward pass on rows rewritten by hand, as the serving model rewrites a request."""
    made = ranker(sample, seed=2, items=OLD_CATALOGUE)
    make_champion(folders, made)
    found = score_champion(folders.champion, lambda *_: rows, 256, CPU)
    table = pq.read_table(split_path(sample, "test")).to_pydict()
    histories = [[i for i in ids if 0 < i < OLD_CATALOGUE][-20:] for ids in table[HISTORY]]
    changed = sum(len(h) < min(20, sum(i > 0 for i in ids)) for h, ids in zip(histories, table[HISTORY], strict=True))
    assert changed > 50  # else the sample would test nothing
    padded = torch.tensor([[0] * (20 - len(ids)) + ids for ids in histories])
    item = torch.tensor([i if i < OLD_CATALOGUE else 0 for i in table[ITEM]])
    with torch.inference_mode():
        logits = made(padded, item, torch.tensor([table[LIKES], table[VIEWS]]).T, torch.zeros(len(item), 0))
    np.testing.assert_allclose(theirs(found), torch.sigmoid(logits).numpy(), atol=1e-6)
    np.testing.assert_array_equal(found.known, np.array(table[ITEM]) < OLD_CATALOGUE)
    assert found.facts["unknown_rows"] == sum(i >= OLD_CATALOGUE for i in table[ITEM]) > 0


def test_unused_ids_of_its_table_are_unknown_items(folders: Folders, rows: RowStore, sample: Path) -> None:
    """The table has an all-zero row for an id that names no item: it must not count as a click of a history."""
    unused = tuple(np.unique(rows.item)[:5].tolist())
    made = ranker(sample, seed=2)
    make_champion(folders, made, unused=unused)
    found = score_champion(folders.champion, lambda *_: rows, 256, CPU)
    np.testing.assert_array_equal(found.known, ~np.isin(rows.item, unused))
    table = pq.read_table(split_path(sample, "test")).to_pydict()
    histories = [[i for i in ids if i and i not in unused][-20:] for ids in table[HISTORY]]
    padded = torch.tensor([[0] * (20 - len(ids)) + ids for ids in histories])
    item = torch.tensor([0 if i in unused else i for i in table[ITEM]])
    with torch.inference_mode():
        logits = made(padded, item, torch.tensor([table[LIKES], table[VIEWS]]).T, torch.zeros(len(item), 0))
    np.testing.assert_allclose(theirs(found), torch.sigmoid(logits).numpy(), atol=1e-6)


def test_a_damaged_list_of_its_items_makes_it_unreadable(folders: Folders, rows: RowStore, sample: Path) -> None:
    make_champion(folders, ranker(sample, seed=2))
    write_json(folders.champion / "package" / "manifest.json", {"item_ids": "bm90IGEgYml0bWFw"})
    found = score_champion(folders.champion, lambda *_: rows, 256, CPU)
    assert found.status == "unreadable"
    assert "item_ids is damaged" in (found.reason or "")


def truncated(folders: Folders, sample: Path) -> None:
    make_champion(folders, ranker(sample, seed=2))
    path = folders.champion / "package" / "ranker.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def missing(folders: Folders, sample: Path) -> None:
    make_champion(folders, ranker(sample, seed=2))
    (folders.champion / "package" / "ranker.safetensors").unlink()


def not_finite(folders: Folders, sample: Path) -> None:
    made = ranker(sample, seed=2)
    torch.nn.init.constant_(next(made.head.parameters()), float("nan"))
    make_champion(folders, made)


def fewer_levels(folders: Folders, sample: Path) -> None:
    made = ranker(sample, seed=2)
    row = tuple(replace(feature, codes=3) for feature in made.vocabulary.row)
    make_champion(folders, Ranker(made.config, replace(made.vocabulary, row=row), made.table))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "truncated"),
        (missing, "is missing"),
        (not_finite, "not finite"),
        (fewer_levels, "its weights were trained with the row feature"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_champion_that_cannot_score_is_reported(
    folders: Folders, rows: RowStore, sample: Path, spoil: Any, reason: str
) -> None:
    spoil(folders, sample)
    found = score_champion(folders.champion, lambda *_: rows, 256, CPU)
    assert found.status == "unreadable"
    assert found.scores is None
    assert found.version == "3"
    assert found.reason is not None
    assert reason in found.reason
