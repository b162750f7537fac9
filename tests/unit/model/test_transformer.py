"""The interest transformer against torch's own encoder, fed plainly with [item; target]."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.transformer import InterestTransformer
from tests.unit.model.builders import BASE

WIDTH = 6


def reference_encoder(block: InterestTransformer) -> nn.TransformerEncoder:
    config = block.config
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(block.model_width, config.heads, config.ffn_dim, 0.0, batch_first=True),
        config.layers,
        enable_nested_tensor=False,
    )
    names = {
        "project_in.weight": "self_attn.in_proj_weight",
        "project_in.bias": "self_attn.in_proj_bias",
        "project_out": "self_attn.out_proj",
        "widen": "linear1",
        "narrow": "linear2",
        "norm_attention": "norm1",
        "norm_ffn": "norm2",
    }
    state = {}
    for name, value in block.layers.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state[f"layers.{name}"] = value
    encoder.load_state_dict(state)
    return encoder.eval()


def case(config: ModelConfig, seed: int = 0) -> tuple[InterestTransformer, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    block = InterestTransformer(config, WIDTH).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    items_UD, target_BD = torch.randn(20, WIDTH), torch.randn(4, WIDTH)
    history_BL = torch.randint(1, 20, (4, 9))
    history_BL[0, :8], history_BL[1, :5], history_BL[2, :2] = 0, 0, 0
    return block, items_UD, history_BL, target_BD


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("target_concat", [True, False], ids=["target", "no target"])
@pytest.mark.parametrize("position", ["none", "learned"])
@pytest.mark.parametrize(("last_k", "max_pool"), [(4, True), (3, False), (0, True), (9, True)])
def test_it_is_torchs_encoder_over_item_and_target(
    heads: int, target_concat: bool, position: str, last_k: int, max_pool: bool
) -> None:
    block, items_UD, history_BL, target_BD = case(
        replace(
            BASE,
            heads=heads,
            target_concat=target_concat,
            position=position,  # type: ignore[arg-type]
            last_k=last_k,
            max_pool=max_pool,
        )
    )
    real_BL = history_BL != 0
    z_BLM = items_UD[history_BL]
    if target_concat:
        z_BLM = torch.cat([z_BLM, target_BD[:, None, :].repeat(1, 9, 1)], dim=2)
    if block.position is not None:
        z_BLM = z_BLM + block.position.weight[:9].flip(0)
    with torch.no_grad():
        out_BLM = reference_encoder(block)(z_BLM, src_key_padding_mask=~real_BL)
        expected = []
        for row in range(4):
            real_RM = out_BLM[row][real_BL[row]]
            newest_KM = torch.zeros(last_k, block.model_width)
            kept = real_RM[-last_k:] if last_k else real_RM[:0]
            newest_KM[last_k - len(kept) :] = kept
            parts = [newest_KM.flatten()]
            if max_pool:
                parts.append(block.pool.weight @ real_RM.max(0).values + block.pool.bias)
            expected.append(torch.cat(parts))
        found_BX = block(items_UD, history_BL, target_BD, real_BL)
    torch.testing.assert_close(found_BX, torch.stack(expected), atol=1e-5, rtol=1e-5)
    assert found_BX.shape[1] == block.width


def test_the_weights_for_analysis_are_those_that_forward_uses() -> None:
    block, items_UD, history_BL, target_BD = case(replace(BASE, heads=2))
    real_BL = history_BL != 0
    z_BLM = torch.cat([items_UD[history_BL], target_BD[:, None, :].repeat(1, 9, 1)], dim=2)
    attention = reference_encoder(block).layers[0].self_attn
    assert isinstance(attention, nn.MultiheadAttention)
    _, expected = attention(z_BLM, z_BLM, z_BLM, key_padding_mask=~real_BL, average_attn_weights=False)
    found = block.attention(items_UD, history_BL, target_BD, real_BL)
    assert len(found) == BASE.layers
    torch.testing.assert_close(found[0], expected)


def test_an_empty_history_gives_zeros_and_the_pools_bias() -> None:
    block, items_UD, history_BL, target_BD = case(BASE)
    found_BX = block(items_UD, history_BL, target_BD, torch.zeros_like(history_BL, dtype=torch.bool))
    assert (found_BX[:, : -block.model_width] == 0).all()
    torch.testing.assert_close(found_BX[:, -block.model_width :], block.pool.bias.expand(4, -1))
