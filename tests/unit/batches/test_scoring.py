"""Scores are those of the ranker at rest, in row order, and tell rows apart wherever the ranker does."""

from pathlib import Path

import numpy as np
import torch

from components.batches.item_table import item_arrays, table_from, vocabulary_of
from components.batches.rows import RowStore
from components.batches.scoring import score, score_logits
from model.ranker import Ranker
from tests.tiny_training import MODEL, write_inputs


def test_rows_that_are_all_sure_to_be_clicked_do_not_tie(tmp_path: Path) -> None:
    """Logits of 17 to 21: their probabilities are all 1 in float32."""
    inputs = write_inputs(tmp_path)
    rows = RowStore.build(inputs.dataset / "train.parquet", tmp_path / "rows")
    arrays = item_arrays(inputs.embeddings / "item_info.parquet", inputs.dataset)
    torch.manual_seed(1)
    ranker = Ranker(MODEL, vocabulary_of(arrays), table_from(arrays)).eval()
    torch.nn.init.normal_(ranker.item_encoder.id.weight)
    with torch.inference_mode():
        columns = [torch.from_numpy(column.astype(np.int64)) for column in (rows.item, rows.codes)]
        history_BL = torch.from_numpy(rows.history(12).astype(np.int64))
        logits = ranker(history_BL, *columns, torch.zeros(len(rows), 0)).double()
        last = ranker.head[-1]
        assert isinstance(last, torch.nn.Linear)
        last.weight.mul_(2 / (logits - logits.mean()).abs().max())
        last.bias.zero_()
        last.bias.add_(19 - ranker(history_BL, *columns, torch.zeros(len(rows), 0)).mean())
        logits_B = ranker(history_BL, *columns, torch.zeros(len(rows), 0))
    assert (torch.sigmoid(logits_B) == 1).all()
    found = score(ranker, rows)
    assert len(np.unique(found)) > 0.9 * len(torch.unique(logits_B))
    assert np.corrcoef(found.argsort().argsort(), logits_B.numpy().argsort().argsort())[0, 1] > 0.999


def scored(tmp_path: Path) -> tuple[Ranker, RowStore]:
    inputs = write_inputs(tmp_path)
    rows = RowStore.build(inputs.dataset / "train.parquet", tmp_path / "rows")
    arrays = item_arrays(inputs.embeddings / "item_info.parquet", inputs.dataset)
    torch.manual_seed(1)
    ranker = Ranker(MODEL, vocabulary_of(arrays), table_from(arrays))
    torch.nn.init.normal_(ranker.item_encoder.id.weight)
    return ranker, rows


def test_a_ranker_in_training_is_scored_without_dropout_and_goes_on_training(tmp_path: Path) -> None:
    ranker, rows = scored(tmp_path)
    at_rest = score_logits(ranker.eval(), rows)
    modes = [ranker.training]
    np.testing.assert_array_equal(score_logits(ranker.train(), rows), at_rest)
    modes.append(ranker.training)
    assert modes == [False, True], "it is left as it was"
    assert not any(parameter.grad is not None for parameter in ranker.parameters())


def test_some_rows_are_scored_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    ranker, rows = scored(tmp_path)
    every = score_logits(ranker, rows)
    asked = np.array([600, 3, 77, 4, 599, 0, 12])
    for batch_size in (1, 2, 4, 100):
        found = score_logits(ranker, rows, batch_size, which=asked)
        np.testing.assert_allclose(found, every[asked], rtol=0, atol=1e-5)


def test_an_item_that_the_ranker_does_not_know_is_scored_as_the_padding(tmp_path: Path) -> None:
    ranker, rows = scored(tmp_path)
    known = np.ones(len(ranker.table.seen_N), dtype=bool)
    known[0] = known[int(rows.item[5])] = False
    same = np.flatnonzero(rows.item == rows.item[5])
    others = np.setdiff1d(np.arange(len(rows)), same)
    every, without = score_logits(ranker, rows), score_logits(ranker, rows, known=known)
    assert not np.isclose(every[same], without[same], atol=1e-6).any()
    read = (rows.history(MODEL.history_length)[others] == rows.item[5]).any(axis=1)
    np.testing.assert_allclose(every[others][~read], without[others][~read], rtol=0, atol=1e-5)
    assert not np.isclose(every[others][read], without[others][read], atol=1e-6).any()
