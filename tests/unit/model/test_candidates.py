"""A user's candidates are scored as the ranker scores them row by row, in every way that a ranker can be built."""

from dataclasses import replace

import pytest
import torch

from model.calibration import LogitMap
from model.candidates import Candidates, CandidateScorer
from model.config import Feature
from model.ranker import Ranker
from tests.unit.model.builders import BASE, VARIANTS, VOCABULARY, histories, ranker, targets

KINDS = {
    **VARIANTS,
    "published": replace(BASE, mask="inverted", position="learned"),
    "one-cross-layer": replace(BASE, interest="recency", heads=2, cross_layers=1),
    "pooled-low-rank": replace(BASE, interest="recency", heads=2, cross="low-rank", cross_layers=3),
    "pooled-full-cross": replace(BASE, interest="recency", heads=2, cross_layers=3, block_products=True),
    "cross-alone": replace(BASE, interest="recency", deep_widths=(), head_widths=()),
    "deep-alone": replace(BASE, interest="mean", cross="none"),
    "head-alone": replace(BASE, interest="mean", cross="none", deep_widths=()),
    "no-history": replace(BASE, interest="none"),
    "din-without-hidden-layers": replace(BASE, interest="din", attention_widths=()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [0, 1, 8, 120])
def test_equal_to_the_rows_one_by_one(kind: str, length: int) -> None:
    assert_equal(ranker(KINDS[kind]), targets(30), histories([length], max(length, 1))[0].tolist() if length else [])


def test_equal_for_every_kind_of_a_row_s_feature() -> None:
    row = (
        Feature("country", codes=5),
        Feature("price", bins=4),
        Feature("hours", codes=7, width=3),
        Feature("age"),
    )
    vocabulary = replace(VOCABULARY, row=row)
    random = torch.Generator().manual_seed(3)
    item_B, codes_BX = (torch.randint(0, 5, (30, width), generator=random) for width in (1, 4))
    numbers_BX = torch.randn(30, 2, generator=random).double()
    numbers_BX[::3] = torch.nan
    made = ranker(replace(BASE, interest="recency", heads=2), vocabulary)
    assert_equal(made, (item_B[:, 0], codes_BX, numbers_BX), [3, 1, 2])


def test_the_calibration_comes_last() -> None:
    made = ranker()
    made.calibrate(LogitMap(knots=((-0.1, -2.0), (0.05, 0.0), (0.1, 1.5)), slope=3.0))
    assert_equal(made, targets(30), [3, 1, 2])


def assert_equal(made: Ranker, rows: tuple[torch.Tensor, torch.Tensor, torch.Tensor], history: list[int]) -> None:
    made = made.double()  # so that a difference of formulas is no rounding
    with torch.no_grad():
        for weight in made.parameters():
            if weight.dim() == 1:  # biases are zero at first
                weight.add_(0.3 * torch.randn_like(weight))
    scorer, encoder = CandidateScorer(made), made.item_encoder
    width = made.config.history_length
    read = (history or [0])[-width:]
    padded = [0] * (width - len(read)) + read if made.config.mask == "inverted" else read
    history_L = torch.tensor(padded)
    with torch.no_grad():
        by_row = made(torch.tensor([history or [0]]).expand(30, -1), *rows)
        items_ND, content_NC = made.encode(torch.arange(made.vocabulary.items))
        target_BD = encoder.as_target(items_ND[rows[0]])
        together = scorer(
            Candidates(
                encoder.as_history(items_ND[history_L]),
                content_NC[history_L],
                history_L,
                target_BD,
                content_NC[rows[0]],
                scorer.target(target_BD),
                *rows[1:],
            )
        )
    spread = float(by_row.std())
    assert spread > 0.01
    assert float((together - by_row).abs().max()) < 1e-11 * max(spread, 1.0)
