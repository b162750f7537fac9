"""One user's candidates get the same scores together as row by row."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from components.predict.online import OnlineScorer
from components.schema.challenge import CHALLENGE, LIKES, VIEWS
from model.config import ModelConfig
from model.older_files import challenge_vocabulary
from model.ranker import Ranker
from tests.services.candidate import CONTENT, ITEMS, TAGS, TINY, tiny_ranker

KINDS = {
    "transformer": TINY,
    "din": replace(TINY, interest="din", attention_widths=(8,)),
    "relu": replace(TINY, interest="relu", cross="low-rank", cross_rank=4),
    "similarity": replace(TINY, content=("concat", "similarity")),
    "metric": replace(TINY, interest="recency", content=("concat", "similarity", "metric"), block_products=True),
    "blind": replace(TINY, interest="none"),
    "recency": replace(TINY, interest="recency", heads=2, content=("concat", "similarity"), target_attention="din"),
    "mean, low-rank": replace(TINY, interest="mean", cross="low-rank", cross_rank=4),
    "recency, deep alone": replace(TINY, interest="recency", cross="none"),
    "published": replace(TINY, mask="inverted"),
}


def coded(likes: npt.NDArray[Any], views: npt.NDArray[Any]) -> Any:
    return CHALLENGE.rows({LIKES: likes, VIEWS: views}, len(likes))


def ranker_of(config: ModelConfig) -> Ranker:
    torch.manual_seed(0)
    ranker = Ranker(config, challenge_vocabulary(ITEMS, TAGS, 11, CONTENT, tag_width=5), tiny_ranker().table)
    with torch.no_grad():
        for weight in ranker.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return ranker.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("history", [[], [3], [5, 9, 2, 7, 1, 4, 8, 3]], ids=["empty", "one", "longer than read"])
def test_equal_to_the_plain_call(kind: str, history: list[int]) -> None:
    ranker, random = ranker_of(KINDS[kind]), np.random.default_rng(0)
    candidates, likes, views = (random.integers(1, top, 50) for top in (ITEMS, 11, 11))
    rows = torch.tensor([history or [0]]).expand(50, -1)
    codes = torch.from_numpy(np.stack([likes, views], axis=1))
    with torch.no_grad():
        plain = ranker(rows, torch.from_numpy(candidates), codes, torch.zeros(50, 0)).numpy()
    scorer = OnlineScorer(ranker, np.arange(ITEMS) > 0)
    assert scorer.logits(history, candidates, *coded(likes, views)) == pytest.approx(plain, abs=1e-5)


def test_unknown_items_are_as_in_the_registered_model() -> None:
    unused = 4  # an id in the table that names no item
    scorer = OnlineScorer(tiny_ranker(), (np.arange(ITEMS) > 0) & (np.arange(ITEMS) != unused))
    levels = np.array([4, 4, 4, 4])
    candidates = np.array([5, 0, ITEMS + 7, unused])
    known = scorer.logits([3, 1], candidates, *coded(levels, levels))
    assert scorer.logits([3, ITEMS + 1, unused, 1], candidates, *coded(levels, levels)) == pytest.approx(known)
    assert known[1] == known[2] == known[3]  # an unknown candidate is the padding item


def test_negative_ids_are_refused() -> None:
    scorer, levels = OnlineScorer(tiny_ranker(), np.arange(ITEMS) > 0), np.array([4])
    with pytest.raises(ValueError, match="item -1: ids are whole numbers from 0 on"):
        scorer.logits([3, -1], np.array([5]), *coded(levels, levels))
    with pytest.raises(ValueError, match="item -7: ids are whole numbers from 0 on"):
        scorer.logits([3], np.array([-7]), *coded(levels, levels))
