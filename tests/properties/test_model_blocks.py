"""Blocks over random shapes: the shortcuts are exact, and padding, order and batch do what they should."""

from dataclasses import replace
from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.config import CodeKind, ModelConfig, Vocabulary
from model.interaction import CrossNetwork, LowRankCrossNetwork
from model.items import distinct_items
from model.older_files import challenge_vocabulary
from model.quantise import Quantiser
from model.ranker import Ranker
from model.target_attention import DinAttention
from tests.unit.model.builders import BASE, histories, item_table, targets

few = settings(max_examples=25)
seeds = st.integers(0, 1000)


@st.composite
def rankers(draw: st.DrawFn) -> tuple[Ranker, Vocabulary]:
    vocabulary = challenge_vocabulary(
        items=draw(st.integers(2, 30)),
        tags=draw(st.integers(2, 9)),
        levels=draw(st.integers(2, 11)),
        content=draw(st.integers(1, 9)),
        tag_width=3,
    )
    length = draw(st.integers(1, 12))
    config: ModelConfig = replace(
        BASE,
        embedding_dim=draw(st.integers(1, 3)) * 2,
        content=draw(
            st.sampled_from(
                [
                    (),
                    ("concat",),
                    ("concat", "similarity", "metric"),
                    ("codes",),
                    ("init", "align", "distil"),
                    ("metric",),
                ]
            )
        ),
        content_norm=draw(st.sampled_from(["raw", "standardise", "l2", "rmsnorm"])),
        content_map=draw(st.sampled_from(["linear", "gated-mlp"])),
        content_dim=draw(st.integers(1, 3)) * 2,
        code_kind=draw(
            st.sampled_from(["residual", "product"] if vocabulary.content >= BASE.code_levels else ["residual"])
        ),
        item_levels=draw(st.sampled_from(["none", "history", "target", "both"])),
        row_features=draw(st.booleans()),
        history_length=length,
        interest=draw(st.sampled_from(["transformer", "din", "relu", "recency", "mean", "none"])),
        target_attention=draw(st.sampled_from(["none", "din", "relu"])),
        target_concat=draw(st.booleans()),
        position=draw(st.sampled_from(["none", "learned"])),
        layers=draw(st.integers(1, 3)),
        heads=draw(st.sampled_from([1, 2])),
        last_k=draw(st.integers(1, length)),
        max_pool=draw(st.booleans()),
        cross=draw(st.sampled_from(["full", "low-rank", "none"])),
        cross_rank=draw(st.integers(1, 4)),
        deep_widths=tuple(draw(st.lists(st.integers(1, 8), max_size=2))),
        head_widths=tuple(draw(st.lists(st.integers(1, 8), max_size=2))),
    )
    torch.manual_seed(draw(seeds))
    return Ranker(config, vocabulary, item_table(vocabulary)).eval(), vocabulary


@few
@given(rankers(), st.lists(st.integers(0, 15), min_size=1, max_size=5), seeds)
def test_every_config_is_finite_blind_to_padding_and_exact_when_items_are_shared(
    made: tuple[Ranker, Vocabulary], lengths: list[int], seed: int
) -> None:
    model, vocabulary = made
    history_BL = histories(lengths, 15, seed, vocabulary.items)
    rows = targets(len(lengths), seed, vocabulary)
    logits_B = model(history_BL, *rows)
    assert logits_B.shape == (len(lengths),)
    assert logits_B.isfinite().all()
    ids_U, history_positions, item_positions = distinct_items(history_BL, rows[0])
    shared_B = model.score_encoded(model.encode(ids_U), history_positions, item_positions, *rows[1:])
    torch.testing.assert_close(shared_B, logits_B, atol=1e-5, rtol=1e-4)
    padded_B = model(nn.functional.pad(history_BL, (5, 0)), *rows)
    torch.testing.assert_close(padded_B, logits_B, atol=1e-5, rtol=1e-4)


@few
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 7), st.lists(st.integers(1, 5), max_size=2), seeds)
def test_dins_split_first_layer_is_the_plain_one(
    rows: int, length: int, width: int, widths: list[int], seed: int
) -> None:
    torch.manual_seed(seed)
    block = DinAttention(replace(BASE, attention_widths=tuple(widths)), width).eval()
    items_UD, target_BD, history_BL = (
        torch.randn(11, width),
        torch.randn(rows, width),
        torch.randint(0, 11, (rows, length)),
    )
    real_BL = history_BL != 0
    item_BLD, target_BLD = items_UD[history_BL], target_BD[:, None].expand(rows, length, width)
    features: Tensor = torch.cat([target_BLD, item_BLD, target_BLD - item_BLD, target_BLD * item_BLD], dim=2)
    for layer, dice in zip(block.hidden, block.dice, strict=True):
        features = dice(layer(features), real_BL)
    weights_BL = block.score(features)[..., 0] * real_BL
    torch.testing.assert_close(
        block.attention(items_UD, history_BL, target_BD, real_BL), weights_BL, atol=1e-4, rtol=1e-4
    )


@few
@given(st.integers(1, 5), st.integers(1, 8), st.integers(1, 4), st.integers(1, 8), seeds)
def test_a_cross_network_of_full_rank_can_be_either(rows: int, width: int, layers: int, rank: int, seed: int) -> None:
    torch.manual_seed(seed)
    low, full = LowRankCrossNetwork(width, layers, rank).double(), CrossNetwork(width, layers).double()
    for down, up, layer in zip(low.down, low.up, full.layers, strict=True):
        assert isinstance(down, nn.Linear)
        assert isinstance(up, nn.Linear)
        assert isinstance(layer, nn.Linear)
        layer.weight.data, layer.bias.data = up.weight.data @ down.weight.data, up.bias.data
    features_BF = torch.randn(rows, width, dtype=torch.double)
    torch.testing.assert_close(low(features_BF), full(features_BF))
    assert (full(torch.zeros_like(features_BF)) == 0).all()


@few
@given(
    st.sampled_from(["residual", "product"]),
    st.integers(1, 40),
    st.integers(4, 7),
    st.integers(1, 4),
    st.integers(1, 8),
    seeds,
)
def test_more_levels_never_leave_more_behind(
    kind: CodeKind, points: int, width: int, levels: int, size: int, seed: int
) -> None:
    points_NC = 3.0 + torch.randn(points, width, generator=torch.Generator().manual_seed(seed))
    report = Quantiser.fit(points_NC, kind, levels, size, seed).report(points_NC)
    errors = [1.0 + 1e-9, *report.error]
    assert all(after <= before + 1e-9 for before, after in pairwise(errors))
    assert all(0 < share <= 1 for share in report.utilisation)
    assert report.distinct <= points
