"""Rows with different logits never get the same score."""

from pathlib import Path

import numpy as np
import torch

from components.batches.item_table import item_arrays, table_from, vocabulary_of
from components.batches.rows import RowStore
from components.batches.scoring import score
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
