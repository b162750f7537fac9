"""One user, many candidates: what depends on the user alone, or on an item alone, is computed once.

Items are encoded when the scorer is made, the whole table at once; a request gathers the user's history and its
candidates from there. How much that saves depends on the ranker: cross and deep network read every candidate joined
with the user, and a transformer joins them earlier still. benchmarks/serving.py measures it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from components.batches.rows import names_item
from components.packages.scores import Mask
from model.item_encoder import EncodedItems
from model.ranker import Ranker

_ENCODE = 8192  # items encoded at once
Whole = npt.NDArray[np.int64]


class OnlineScorer:
    """Treats unknown items as the registered model does (components/tracking/serving_model.py)."""

    def __init__(self, ranker: Ranker, known: Mask) -> None:
        """`known` says which ids name an item, as `components.packages.scores.known_items` reads it."""
        self.ranker, self.known = ranker.eval(), known
        parts = []
        with torch.inference_mode():
            for first in range(0, ranker.vocabulary.items, _ENCODE):
                parts.append(ranker.encode(torch.arange(first, min(first + _ENCODE, ranker.vocabulary.items))))
        self._items_ND, self._content_NC = (torch.cat(columns) for columns in zip(*parts, strict=True))

    def score(self, history: Sequence[int], candidates: Whole, likes: Whole, views: Whole) -> npt.NDArray[np.float32]:
        """Click probabilities of one user's candidates; `history` is of any length, oldest first."""
        clicks = np.asarray(history, dtype=np.int64)
        known = clicks[names_item(self.known, clicks)][-self.ranker.config.history_length :].tolist()
        item_B = torch.from_numpy(np.where(names_item(self.known, candidates), candidates, 0))
        ids_U = torch.cat([torch.tensor([0, *known]), item_B])  # position 0 is the padding
        encoded = EncodedItems(self._items_ND[ids_U], self._content_NC[ids_U])
        length = max(1, len(known))
        history_L = torch.arange(1, length + 1) if known else torch.zeros(1, dtype=torch.int64)
        position_B = torch.arange(len(candidates)) + 1 + len(known)
        inputs = (
            history_L.expand(len(candidates), length),
            position_B,
            torch.from_numpy(likes),
            torch.from_numpy(views),
        )
        with torch.inference_mode():
            scores: npt.NDArray[np.float32] = torch.sigmoid(self.ranker.score_encoded(encoded, *inputs)).numpy()
        return scores
