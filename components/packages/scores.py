"""Scores rows as the champion would in service today, with its own item table.

Catalogues grow faster than models, so today's rows name items that the champion has never heard of. They are treated
as its serving treats them: an unknown item of a history is left out, an unknown candidate is scored as the padding
item, from the history and the row's levels alone. A champion that cannot score at all is reported with the reason;
what follows from it is for the gate's policy to say.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.batches.rows import RowStore
from components.batches.scoring import score
from components.statistics.auc import Floats
from components.storage.files import read_json
from model.checkpoint import load

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChampionScores:
    version: str | None
    status: str  # none: there is no champion yet; scored; unreadable
    reason: str | None = None
    scores: Floats | None = None
    known: np.ndarray[Any, np.dtype[np.bool_]] | None = None  # rows whose item its table holds

    @property
    def facts(self) -> dict[str, Any]:
        unknown = 0 if self.known is None else int((~self.known).sum())
        return {"version": self.version, "status": self.status, "reason": self.reason, "unknown_rows": unknown}


def score_champion(folder: Path, rows: RowStore, batch_size: int, device: torch.device) -> ChampionScores:
    version = read_json(folder / "champion.json")["version"]
    if version is None:
        return ChampionScores(None, "none")
    try:
        ranker = load(folder / "package" / "ranker.safetensors", device)
        _check_levels(rows, ranker.vocabulary.levels)
        scores = score(ranker, rows, batch_size, device)
        if not np.isfinite(scores).all():
            raise ValueError(f"{int((~np.isfinite(scores)).sum())} of its scores are not finite")
    except (ValueError, RuntimeError, IndexError) as error:  # a model of another time fails in ways of its own
        _log.exception("champion version %s cannot score this data", version)
        return ChampionScores(version, "unreadable", str(error) or type(error).__name__)
    return ChampionScores(version, "scored", None, scores, rows.item < ranker.vocabulary.items)


def _check_levels(rows: RowStore, levels: int) -> None:
    highest = max(int(rows.likes.max(initial=0)), int(rows.views.max(initial=0)))
    if highest >= levels:
        raise ValueError(f"the data holds level {highest}; this champion knows levels up to {levels - 1}")
