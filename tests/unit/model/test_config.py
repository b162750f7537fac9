from dataclasses import replace
from typing import Any

import pytest

from model.config import ModelConfig, Vocabulary
from model.presets import din, paper, published
from tests.ranges import Row, assert_other_defaults, assert_ranges

NUMBERS: dict[str, Row] = {
    "embedding_dim": (64, 1, None),
    "embedding_std": (0.0001, 0.0, None),
    "content_dim": (128, 1, None),
    "layers": (2, 1, None),
    "heads": (1, 1, None),
    "ffn_dim": (256, 1, None),
    "transformer_dropout": (0.2, 0.0, 0.99),
    "last_k": (16, 0, 100),
    "cross_layers": (3, 1, None),
    "cross_rank": (64, 1, None),
    "deep_dropout": (0.2, 0.0, 0.99),
    "id_dropout": (0.0, 0.0, 0.99),
    "init_std": (0.1, 0.0, None),
    "align_temperature": (0.1, 0.001, 100.0),
    "distil_id_temperature": (0.1, 0.001, 100.0),
    "distil_content_temperature": (0.1, 0.001, 100.0),
    "code_levels": (3, 1, None),
    "codebook_size": (256, 1, None),
    "similarity_bins": (16, 2, None),
    "metric_heads": (4, 1, None),
    "metric_dim": (16, 1, None),
}
OTHERS = {
    "content": ("concat",),
    "content_norm": "raw",
    "content_map": "linear",
    "item_levels": "none",
    "row_features": True,
    "history_length": 100,
    "interest": "transformer",
    "target_attention": "none",
    "target_concat": True,
    "position": "none",
    "max_pool": True,
    "attention_widths": (512, 256),
    "block_products": False,
    "left_out": (),
    "mask": "right",
    "cross": "full",
    "deep_widths": (1024, 512, 256),
    "head_widths": (64, 32),
    "code_kind": "residual",
}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("content", ("concat", "blend"), "model.content = 'blend': must be one of 'concat', 'init'"),
        ("content", ("concat", "concat"), "names a use twice"),
        ("content_norm", "batch", "model.content_norm = 'batch': must be one of 'raw'"),
        ("content_map", "mlp", "model.content_map = 'mlp'"),
        ("code_kind", "vq", "model.code_kind = 'vq': must be one of 'residual', 'product'"),
        (
            "interest",
            "lstm",
            "model.interest = 'lstm': must be one of 'transformer', 'din', 'relu', 'recency', 'mean', 'none'",
        ),
        ("target_attention", "transformer", "model.target_attention = 'transformer': must be one of"),
        ("cross", "half", "model.cross = 'half'"),
        ("item_levels", True, "model.item_levels = True: must be one of 'none', 'history', 'target', 'both'"),
        ("mask", "left", "model.mask = 'left'"),
        ("block_products", True, "model.block_products = True with model.interest = 'transformer': only 'recency'"),
        ("metric_heads", 0, "model.metric_heads = 0: must be at least 1"),
        ("embedding_dim", 0, "model.embedding_dim = 0: must be at least 1"),
        ("embedding_std", float("nan"), "model.embedding_std = nan"),
        ("deep_dropout", 1.0, r"model.deep_dropout = 1.0: must lie in \[0.0, 0.99\]"),
        ("last_k", 101, r"model.last_k = 101: must lie in \[0, 100\]"),
        ("deep_widths", (256, 0), "model.deep_widths = 0: must be at least 1"),
        ("distil_id_temperature", 0.0, r"model.distil_id_temperature = 0.0: must lie in \[0.001, 100.0\]"),
        ("similarity_bins", 1, "model.similarity_bins = 1: must be at least 2"),
    ],
)
def test_an_error_names_the_field_the_value_and_what_is_allowed(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ModelConfig(), **{field: value})


def test_a_transformer_must_have_an_output() -> None:
    with pytest.raises(ValueError, match="the transformer would have no output"):
        replace(ModelConfig(), last_k=0, max_pool=False)


def test_a_vocabulary_has_a_row_beside_the_padding() -> None:
    with pytest.raises(ValueError, match=r"vocabulary.items = 1: must be at least 2"):
        Vocabulary(items=1, content=0)


def test_published_differs_from_the_paper_by_its_mask_alone() -> None:
    assert replace(published(), mask="right") == paper()
    assert replace(published("small"), mask="right") == paper("small")


def test_the_baseline_is_din_with_a_deep_network_alone() -> None:
    assert (din().interest, din().cross, din().deep_widths, din().head_widths) == ("din", "none", (1024, 512, 256), ())


def test_each_number_has_its_default_and_its_range() -> None:
    assert_ranges(ModelConfig(), NUMBERS, "model")
    assert_other_defaults(ModelConfig(), NUMBERS, OTHERS)


def test_the_history_is_at_least_as_long_as_the_outputs_that_are_kept() -> None:
    assert replace(ModelConfig(), history_length=1, last_k=1).history_length == 1
    with pytest.raises(ValueError, match=r"model\.history_length = 0: must be at least 1"):
        replace(ModelConfig(), history_length=0)
    with pytest.raises(ValueError, match=r"model\.last_k = 16: must lie in \[0, 15\]"):
        replace(ModelConfig(), history_length=15)
