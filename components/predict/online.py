"""One user, many candidates: what depends on the user alone, or on an item alone, is computed once.

Items are encoded when the scorer is made, the whole table at once; a request gathers the user's history and its
candidates from there, and `Ranker.score_candidates` does once what the history decides alone. How much that saves
depends on the ranker; benchmarks/serving.py measures it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from components.batches.rows import names_item
from components.packages.scores import Mask
from components.schema.challenge import CHALLENGE
from components.schema.encoder import Codes, Encoder, Numbers
from model.item_encoder import EncodedItems
from model.ranker import Ranker

_ENCODE = 8192  # items encoded at once
Whole = npt.NDArray[np.int64]


class OnlineScorer:
    """Treats unknown items as the registered model does (components/tracking/serving_model.py)."""

    def __init__(self, ranker: Ranker, known: Mask, features: Encoder = CHALLENGE) -> None:
        """`known` says which ids name an item, as `components.packages.scores.known_items` reads it."""
        self.ranker, self.known, self.features = ranker.eval(), known, features
        parts = []
        with torch.inference_mode():
            for first in range(0, ranker.vocabulary.items, _ENCODE):
                parts.append(ranker.encode(torch.arange(first, min(first + _ENCODE, ranker.vocabulary.items))))
        self._items_ND, self._content_NC = (torch.cat(columns) for columns in zip(*parts, strict=True))

    def knows(self, candidates: Whole) -> Mask:
        return names_item(self.known, candidates)

    def logits(
        self,
        history: Sequence[int],
        candidates: Whole,
        codes: Codes,
        numbers: Numbers,
        events: tuple[Codes, Numbers] | None = None,
    ) -> npt.NDArray[np.float32]:
        """What the ranker says of one user's candidates; `history` is of any length, oldest first.

        `codes` and `numbers` are the features of the rows, as `self.features.rows` makes them of raw values, and
        `events` those of the history's items other than padding, as `self.features.events` makes them.
        """
        clicks = np.asarray(history, dtype=np.int64)
        negative = [int(ids.min()) for ids in (clicks, candidates) if ids.min(initial=0) < 0]
        if negative:
            raise ValueError(f"item {negative[0]}: ids are whole numbers from 0 on, and 0 is padding")
        kept = np.flatnonzero(names_item(self.known, clicks))[-self.ranker.config.history_length :]
        known = clicks[kept].tolist()
        item_B = torch.from_numpy(np.where(self.knows(candidates), candidates, 0))
        ids_U = torch.cat([torch.tensor([0, *known]), item_B])  # position 0 is the padding
        encoded = EncodedItems(self._items_ND[ids_U], self._content_NC[ids_U])
        history_1L = torch.arange(1, len(known) + 1)[None] if known else torch.zeros(1, 1, dtype=torch.int64)
        events_1L = None
        if events is not None and known:
            places = kept - np.cumsum(clicks == 0)[kept]  # among the items other than padding
            events_1L = torch.from_numpy(events[0][places])[None], torch.from_numpy(events[1][places])[None]
        position_B = torch.arange(len(candidates)) + 1 + len(known)
        with torch.inference_mode():
            logits_B = self.ranker.score_candidates(
                encoded, history_1L, position_B, torch.from_numpy(codes), torch.from_numpy(numbers), events_1L
            )
        logits: npt.NDArray[np.float32] = logits_B.numpy()
        return logits
