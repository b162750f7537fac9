import pytest

from components.embed.config import EmbedConfig
from components.embed.registry import REGISTRY, Variant
from components.settings import from_dict, to_dict
from tests.ranges import Row, assert_other_defaults, assert_ranges

NUMBERS: dict[str, Row] = {
    "dimension": (128, 1, None),
    "bad_input_limit": (0.01, 0.0, 1.0),
    "pixel_limit": (50000000, 1, None),
    "shards": (1, 1, None),
    "text_batch": (16, 1, None),
    "image_batch": (4, 1, None),
    "threads": (0, 0, None),
    "decoders": (2, 1, None),
    "flush_items": (4096, 1, None),
}
OTHERS = {
    "text_encoder": "minilm",
    "text_weights": "",
    "text_revision": "",
    "text_columns": ("item_title",),
    "image_encoder": "efficientnet-lite0",
    "image_weights": "",
    "image_revision": "",
    "use_precomputed": True,
    "existing": "auto",
    "fusion": "pca",
    "standardise": "modality",
    "projection": "fit",
    "bad_input": "impute",
    "precision": "float32",
    "device": "auto",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_encoder": "word2vec"}, "embed.text_encoder = 'word2vec': must be one of 'minilm', 'bert', 'none'"),
        ({"image_encoder": "resnet"}, "embed.image_encoder = 'resnet'"),
        ({"fusion": "sum"}, "embed.fusion = 'sum'"),
        ({"dimension": 0}, "embed.dimension = 0: must be at least 1"),
        ({"bad_input_limit": 1.5}, r"embed.bad_input_limit = 1.5: must lie in \[0.0, 1.0\]"),
        ({"bad_input_limit": float("nan")}, "embed.bad_input_limit = nan"),
        ({"text_columns": ()}, "embed.text_columns"),
        ({"text_encoder": "none", "image_encoder": "none", "use_precomputed": False}, "nothing sees an item"),
        ({"flush_items": 0}, "embed.flush_items = 0"),
        ({"precision": "int8"}, "embed.precision = 'int8'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_field_is_named_with_its_value(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmbedConfig(**changes)  # type: ignore[arg-type]


def test_a_config_survives_json() -> None:
    config = EmbedConfig(text_columns=("item_title", "subtitle"), precision="bfloat16")
    values = {**to_dict(config), "text_columns": ["item_title", "subtitle"]}
    assert from_dict(EmbedConfig, values) == config


def test_every_encoder_states_what_it_is() -> None:
    for name, spec in REGISTRY.items():
        assert spec.name == name
        assert spec.licence
        assert spec.dimension > 0
        assert spec.revision or not spec.source.startswith("package:")


def test_a_variant_changes_with_all_that_moves_its_vectors() -> None:
    spec = REGISTRY["efficientnet-lite0"]
    variants = [
        Variant(spec, "", "r1", "float32"),
        Variant(spec, "", "r2", "float32"),
        Variant(spec, "", "r1", "bfloat16"),
        Variant(spec, "", "r1", "float32", pixel_limit=5),
        Variant(REGISTRY["clip-rn50"], "", "r1", "float32"),
    ]
    assert len({variant.id for variant in variants}) == len(variants)
    assert Variant(spec, "/elsewhere", "r1", "float32").id == variants[0].id  # where they lie does not matter


def test_each_number_has_its_default_and_its_range() -> None:
    assert_ranges(EmbedConfig(), NUMBERS, "embed")
    assert_other_defaults(EmbedConfig(), NUMBERS, OTHERS)
