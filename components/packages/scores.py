"""Scores rows as the champion would in service today, with its own item table.

Today's rows name items that are newer than the champion. They are treated as in serving: an unknown item of a history
is left out, and an unknown candidate is scored as the padding item, from the history and the row's features only. If a
champion cannot score at all, the reason is reported, and the gate's policy says what follows.
"""

import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.batches.rows import RowStore, names_item
from components.batches.scoring import score_as_sampled
from components.dataset.item_ids import read_item_ids, unpack_ids
from components.errors import StepError
from components.packages.format import MANIFEST
from components.schema.encoder import Encoder, ItemIds
from components.schema.fitted import check_fit, read_features
from components.statistics.auc import Floats
from components.storage.files import read_json
from model.checkpoint import load

Mask = np.ndarray[Any, np.dtype[np.bool_]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChampionScores:
    version: str | None
    status: str  # none: there is no champion yet; scored; unreadable
    reason: str | None = None
    scores: Floats | None = None
    known: Mask | None = None  # rows whose item it knows

    @property
    def facts(self) -> dict[str, Any]:
        unknown = 0 if self.known is None else int((~self.known).sum())
        return {"version": self.version, "status": self.status, "reason": self.reason, "unknown_rows": unknown}


def score_champion(
    folder: Path, encoded: Callable[[Encoder, ItemIds], RowStore], batch_size: int, device: torch.device
) -> ChampionScores:
    """`encoded` gives the rows in the champion's own codes and numbers, which may differ from the candidate's."""
    version = read_json(folder / "champion.json")["version"]
    if version is None:
        return ChampionScores(None, "none")
    try:
        ranker = load(folder / "package" / "ranker.safetensors", device)
        features = read_features(folder / "package")
        check_fit(features, ranker.vocabulary)
        rows = encoded(features, read_item_ids(folder / "package"))
        known = known_items(folder / "package", ranker.vocabulary.items)
        scores = score_as_sampled(ranker, rows, batch_size, device, known=known)
        if not np.isfinite(scores).all():
            raise ValueError(f"{int((~np.isfinite(scores)).sum())} of its scores are not finite")
    except (StepError, ValueError, RuntimeError, IndexError) as error:  # old models fail in many ways
        _log.exception("champion version %s cannot score this data", version)
        return ChampionScores(version, "unreadable", str(error) or type(error).__name__)
    return ChampionScores(version, "scored", None, scores, names_item(known, rows.item))


def known_items(package: Path, items: int) -> Mask:
    """Which of the model's `items` ids name an item. The item table has rows for unused ids, which are all zero."""
    packed = read_json(package / MANIFEST).get("item_ids")
    known = np.full(items, packed is None)  # packages of an earlier version do not say it
    if packed is not None:
        try:
            ids = unpack_ids(packed)
        except (ValueError, zlib.error) as error:
            raise StepError(f"{package / MANIFEST}: item_ids is damaged ({error}): fetch the package again") from None
        known[ids[ids < items]] = True
    known[0] = False
    return known
