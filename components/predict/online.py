"""One user, many candidates: what depends on the user alone, or on an item alone, is computed once.

Items are encoded when the scorer is made, the whole table at once. A request gathers the user's history and its
candidates from there; an engine computes the rest (model/candidates.py). benchmarks/serving.py measures what it saves.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from components.batches.rows import names_item
from components.packages.scores import Mask
from components.predict.engines import EngineName, device_of, make_engine
from components.schema.challenge import CHALLENGE
from components.schema.encoder import Codes, Encoder, Numbers
from model.candidates import Candidates, CandidateScorer
from model.config import number_columns
from model.ranker import Ranker

_ENCODE = 8192  # items encoded at once
# The largest table of what the first layers make of each item: the challenge's items at its full size are .9 GB. With
# a larger one, each request computes it for its candidates, an eighth of the work of `best`.
_TABLE_BYTES = 1_000_000_000
Whole = npt.NDArray[np.int64]


class OnlineScorer:
    """Treats unknown items as the registered model does (components/tracking/serving_model.py)."""

    def __init__(
        self, ranker: Ranker, known: Mask, features: Encoder = CHALLENGE, engine: EngineName = "eager"
    ) -> None:
        """`known` says which ids name an item, as `components.packages.scores.known_items` reads it."""
        self.ranker, self.known, self.features, self.device = ranker, known, features, device_of(engine)
        self._scorer = CandidateScorer(ranker.eval().to(self.device)).to(self.device)
        self._encode_items()
        row = ranker.vocabulary.row
        codes = sum(feature.width for feature in row if feature.codes)
        two, history = (
            torch.zeros(2, dtype=torch.int64),
            torch.zeros(min(2, ranker.config.history_length), dtype=torch.int64),
        )
        numbers = torch.zeros(2, len(number_columns(row)))
        example = self._candidates(history, two, torch.zeros(2, codes, dtype=torch.int64), numbers)
        self._engine = make_engine(engine, self._scorer, example)

    def _encode_items(self) -> None:
        ids_N = torch.arange(self.ranker.vocabulary.items, device=self.device)
        with torch.inference_mode():
            parts = [self.ranker.encode(part_U) for part_U in torch.split(ids_N, _ENCODE)]
            self._items_ND, self._content_NC = (torch.cat(columns) for columns in zip(*parts, strict=True))
            self._first_NX = None
            if len(ids_N) * len(self._scorer.bias_X) * 4 <= _TABLE_BYTES:
                parts_ND = torch.split(self.ranker.item_encoder.as_target(self._items_ND), _ENCODE)
                self._first_NX = torch.cat([self._scorer.target(part_UD) for part_UD in parts_ND])

    def knows(self, candidates: Whole) -> Mask:
        return names_item(self.known, candidates)

    def logits(
        self,
        history: Sequence[int] | Whole,
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
        config = self.ranker.config
        kept = np.flatnonzero(names_item(self.known, clicks))[-config.history_length :]
        # The published code's inverted mask reads the padding, so it needs all of it.
        padding = (config.history_length if config.mask == "inverted" else max(len(kept), 1)) - len(kept)
        history_L = torch.from_numpy(np.pad(clicks[kept], (padding, 0)))
        item_B = torch.from_numpy(np.where(self.knows(candidates), candidates, 0))
        events_L = None
        if events is not None:
            places = kept - np.cumsum(clicks == 0)[kept]  # among the items other than padding
            events_L = [torch.from_numpy(np.pad(block[places], ((padding, 0), (0, 0)))) for block in events]
        row = torch.from_numpy(codes), torch.from_numpy(numbers)
        with torch.inference_mode():
            return self._engine(self._candidates(history_L, item_B, *row, events_L))

    def _candidates(
        self,
        history_L: torch.Tensor,
        item_B: torch.Tensor,
        codes_BX: torch.Tensor,
        numbers_BX: torch.Tensor,
        events_L: list[torch.Tensor] | None = None,
    ) -> Candidates:
        history_L, item_B, codes_BX, numbers_BX = (
            part.to(self.device) for part in (history_L, item_B, codes_BX, numbers_BX)
        )
        encoder = self.ranker.item_encoder
        history_LD, target_BD = encoder.as_history(self._items_ND[history_L]), encoder.as_target(self._items_ND[item_B])
        if events_L is not None and len(self.ranker.event):
            events_LD = self.ranker.event(*(block.to(self.device) for block in events_L))
            history_LD = history_LD + torch.stack(events_LD).sum(0)
        return Candidates(
            history_LD=history_LD,
            history_LC=self._content_NC[history_L],
            real_L=history_L != 0,
            target_BD=target_BD,
            target_BC=self._content_NC[item_B],
            first_BX=self._scorer.target(target_BD) if self._first_NX is None else self._first_NX[item_B],
            codes_BX=codes_BX,
            numbers_BX=numbers_BX,
        )
