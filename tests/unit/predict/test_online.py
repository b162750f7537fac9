"""One user's candidates get the same scores together as row by row."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from components.batches.scoring import probabilities
from components.errors import StepError
from components.predict import online
from components.predict.engines import EngineName
from components.predict.online import OnlineScorer
from components.schema.challenge import CHALLENGE, LIKES, VIEWS
from model.config import ModelConfig
from model.older_files import challenge_vocabulary
from model.presets import PRESETS
from model.ranker import Ranker
from tests.services.candidate import CONTENT, ITEMS, TAGS, TINY, tiny_ranker
from tests.unit.model.test_features import INTERESTS, events, inputs, model_of

CPU_ENGINES: tuple[EngineName, ...] = ("eager", "openvino")
# Each preset, and the ways of reading a history and of crossing features that no preset has. That every way gives what
# the ranker gives is tested in tests/unit/model/test_candidates.py.
KINDS = {
    **{name: make("small") for name, make in PRESETS.items()},
    "relu attention, low-rank": replace(TINY, interest="relu", position="learned", cross="low-rank", cross_rank=4),
    "recency, low-rank, then din": replace(
        TINY, interest="recency", cross="low-rank", cross_layers=3, target_attention="din", attention_widths=(8,)
    ),
    "heads": replace(TINY, heads=2, layers=2, position="learned", item_levels="target"),
    "no history, no features of the row": replace(TINY, interest="none", content=("metric",), row_features=False),
}


def coded(likes: npt.NDArray[Any], views: npt.NDArray[Any]) -> Any:
    return CHALLENGE.rows({LIKES: likes, VIEWS: views}, len(likes))


def ranker_of(config: ModelConfig) -> Ranker:
    scale = 0.1 if config.embedding_dim == TINY.embedding_dim else 0.02  # so that logits differ, by a few units
    torch.manual_seed(0)
    ranker = Ranker(config, challenge_vocabulary(ITEMS, TAGS, 11, CONTENT, tag_width=5), tiny_ranker().table)
    with torch.no_grad():
        for weight in ranker.parameters():
            weight.add_(scale * torch.randn_like(weight))
    return ranker.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", CPU_ENGINES)
def test_equal_to_the_plain_call(kind: str, engine: EngineName) -> None:
    ranker, random = ranker_of(KINDS[kind]), np.random.default_rng(0)
    scorer = OnlineScorer(ranker, np.arange(ITEMS) > 0, engine=engine)
    for history, count in (([], 50), ([3], 1), ([5, 9, 2, 7, 1, 4, 8, 3], 2), (list(range(1, 31)), 50)):
        candidates, likes, views = (random.integers(1, top, count) for top in (ITEMS, 11, 11))
        rows = torch.tensor([history or [0]]).expand(count, -1)
        codes = torch.from_numpy(np.stack([likes, views], axis=1))
        with torch.no_grad():
            plain = ranker(rows, torch.from_numpy(candidates), codes, torch.zeros(count, 0))
        logits = scorer.logits(history, candidates, *coded(likes, views))
        assert probabilities(logits) == pytest.approx(torch.sigmoid(plain.double()).numpy(), abs=1e-5)
        assert count < 3 or plain.std() > 0.03


@pytest.mark.parametrize("changes", [*INTERESTS, {"mask": "inverted"}], ids=str)
def test_features_of_events_are_read(changes: dict[str, str]) -> None:
    model, (history_BL, item_B, codes_BX, numbers_BX), found = model_of(**changes), inputs(), events()
    scorer = OnlineScorer(model, np.arange(model.vocabulary.items) > 0)
    with torch.no_grad():
        plain = model(history_BL, item_B, codes_BX, numbers_BX, found).numpy()
    for row, history in enumerate(history_BL):
        real = history != 0
        of_events = found[0][row][real].numpy(), found[1][row][real].numpy()
        one = slice(row, row + 1)
        row_features = codes_BX[one].numpy(), numbers_BX[one].numpy()
        logits = scorer.logits(history.tolist(), item_B[one].numpy(), *row_features, of_events)
        assert logits == pytest.approx(plain[one], abs=1e-5)


@pytest.mark.parametrize("engine", CPU_ENGINES)
def test_a_large_catalogue_has_no_table_of_first_layers(engine: EngineName, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, levels = np.array([5, 0, 7, ITEMS + 1]), np.array([4, 3, 2, 1])
    scores = []
    for most in (10**9, 0):
        monkeypatch.setattr(online, "_TABLE_BYTES", most)
        scorer = OnlineScorer(tiny_ranker(), np.arange(ITEMS) > 0, engine=engine)
        scores.append(scorer.logits([3, 1], candidates, *coded(levels, levels)))
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_the_engine_cuda_is_refused_without_a_gpu() -> None:
    with pytest.raises(StepError, match=r"the engine cuda needs a GPU .*: take the engine eager or openvino"):
        OnlineScorer(tiny_ranker(), np.arange(ITEMS) > 0, engine="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_is_equal_to_the_processor(kind: str) -> None:
    candidates, levels = np.arange(1, 31), np.arange(30) % 11
    on_processor, on_gpu = (
        OnlineScorer(ranker_of(KINDS[kind]), np.arange(ITEMS) > 0, engine=engine).logits(
            [3, 1, 2], candidates, *coded(levels, levels)
        )
        for engine in ("eager", "cuda")
    )
    assert probabilities(on_gpu) == pytest.approx(probabilities(on_processor), abs=1e-5)


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
