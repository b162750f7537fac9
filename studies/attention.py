"""What a trained ranker looks at in a history: the figures of the diagnosis, and a few real rows to look at."""

from pathlib import Path
from typing import Any

import numpy.typing as npt

from components.batches.rows import RowStore
from components.diagnosis.attention import LEAST, attention_figures, chosen_rows, distributions, read, weight_names
from model.ranker import Ranker
from model.transformer import InterestTransformer
from studies.examples import describe, pick

Array = npt.NDArray[Any]
Json = dict[str, Any]


def analyse(ranker: Ranker, rows: RowStore, dataset: Path, limit: int = 2000) -> Json:
    """{"summary": figures or None, "examples": [...]}, over at most `limit` rows of two items or more."""
    chosen = chosen_rows(rows, limit)
    figures = attention_figures(ranker, rows, chosen)
    if figures is None:
        return {"summary": None, "examples": []}
    eligible = int((rows.lengths >= LEAST).sum())
    return {"summary": {**figures, "eligible_rows": eligible}, "examples": _examples(ranker, rows, chosen, dataset)}


def _examples(ranker: Ranker, rows: RowStore, chosen: Array, dataset: Path) -> list[Json]:
    """The weights of the interest's last layer: the mean over heads."""
    numbers = pick(rows, chosen)
    if not len(numbers):
        return []
    batch = read(ranker, rows, numbers)
    found = ranker.attention(batch.history_BL, batch.item_B, batch.events)
    last = ranker.config.layers - 1 if isinstance(ranker.interest, InterestTransformer) else 0
    shares_BHAL, _ = distributions(found[last], batch.real_BL)
    heads_BAL = shares_BHAL.mean(1).cpu().numpy()
    layer = weight_names(ranker)[last][1]
    labels = rows.label[numbers].tolist() if rows.has_labels else [None] * len(numbers)
    examples = []
    for row, number in enumerate(numbers.tolist()):
        real = batch.real_BL[row].cpu().numpy()
        queries_AL = heads_BAL[row][real] if found[last].dim() == 4 else heads_BAL[row]
        weights = {"rows_by_item": queries_AL[:, real], "same": batch.same_BL[row].cpu().numpy()[real]}
        items = batch.history_BL[row].cpu().numpy()[real]
        facts = {"row": number, "label": labels[row], "layer": layer, "item": int(batch.item_B[row])}
        examples.append({**facts, "history": items, **weights})
    return describe(examples, dataset)
