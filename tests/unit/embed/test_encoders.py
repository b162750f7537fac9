"""The encoders against independent computations, and the formats their weights come in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from torch.nn import functional

from components.embed.clip_resnet import AttentionPool, clip_resnet
from components.embed.config import EmbedConfig
from components.embed.registry import REGISTRY, EncoderSpec, TextPreprocessing
from components.embed.runtime import Runtime, runtime
from components.embed.text import TextEncoder
from components.embed.vision import ImageEncoder
from components.embed.weights import _from_hub, fetch, revision
from components.errors import StepError
from tests.unit.embed.dataset import picture
from tests.unit.embed.tiny_encoders import save_tiny_clip_resnet

CPU = Runtime(torch.device("cpu"), torch.float32, 1)
TEXTS = [
    "red cat",
    "",
    "old city " * 30,
    "a fast boat at night 🚤🎉",
    "שלום עולם مرحبا",
    "x" * 100_000,
    "snow",
    "garden bread",
]


def test_a_text_vector_is_the_mean_of_its_token_vectors(tiny_bert: Path) -> None:
    from transformers import AutoTokenizer, BertModel

    encoder = TextEncoder(tiny_bert, TextPreprocessing(max_tokens=64), CPU, batch=4)
    tokenizer, network = AutoTokenizer.from_pretrained(tiny_bert), BertModel.from_pretrained(tiny_bert)
    for batch in encoder.batches(TEXTS):
        for position, vector in zip(batch.positions, encoder.forward(batch), strict=True):
            tokens = tokenizer(TEXTS[position], truncation=True, max_length=64, return_tensors="pt")
            with torch.no_grad():
                expected = network(**tokens).last_hidden_state[0].mean(0)
            np.testing.assert_allclose(vector, expected.numpy(), atol=2e-6)


def test_every_text_comes_back_once_and_long_ones_are_noted(tiny_bert: Path) -> None:
    encoder = TextEncoder(tiny_bert, TextPreprocessing(max_tokens=64), CPU, batch=4)
    batches = list(encoder.batches(TEXTS))
    assert sorted(position for batch in batches for position in batch.positions) == list(range(len(TEXTS)))
    notes = {TEXTS[p][:8]: note for batch in batches for p, note in zip(batch.positions, batch.notes, strict=True)}
    # 100,000 letters without a space are one unknown word: short for the tokeniser, but cut all the same.
    assert notes == {text[:8]: "cut to 64 tokens" if text[:3] == "xxx" else "" for text in TEXTS}
    long = [note for batch in encoder.batches(["red cat " * 60]) for note in batch.notes]
    assert long == ["cut to 64 tokens"]


@pytest.mark.parametrize("batch", [1, 3, 4, 8])
def test_a_vector_does_not_depend_on_the_other_items_of_its_batch(tiny_bert: Path, batch: int) -> None:
    texts = [f"{text} cat" for text in TEXTS if len(text) < 500]
    encoder = TextEncoder(tiny_bert, TextPreprocessing(max_tokens=64), CPU, batch)

    def vectors(order: list[int]) -> np.ndarray:
        found = np.zeros((len(texts), encoder.dimension), np.float32)
        for made in encoder.batches([texts[i] for i in order]):
            found[[order[p] for p in made.positions]] = encoder.forward(made)
        return found

    forwards = vectors(list(range(len(texts))))
    np.testing.assert_array_equal(forwards, vectors(list(range(len(texts)))[::-1]))
    for alone in range(len(texts)):
        np.testing.assert_array_equal(forwards[alone], vectors([alone])[alone])


def test_minilm_from_its_package_puts_similar_texts_close_together() -> None:
    spec = REGISTRY["minilm"]
    encoder = TextEncoder(fetch(spec, "", "", Path()), _text(spec), CPU, batch=4)
    texts = ["A kitten plays with wool", "Young cat toys with yarn", "Central bank raises interest rates"]
    batches = list(encoder.batches(texts))
    vectors = {p: v for batch in batches for p, v in zip(batch.positions, encoder.forward(batch), strict=True)}
    assert encoder.dimension == spec.dimension
    np.testing.assert_allclose([np.linalg.norm(v) for v in vectors.values()], 1.0, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.5 > 0.2 > vectors[0] @ vectors[2]


def test_efficientnet_from_its_package_gives_a_dimmed_picture_almost_the_same_vector() -> None:
    spec = REGISTRY["efficientnet-lite0"]
    encoder = ImageEncoder(fetch(spec, "", "", Path()), spec, CPU, batch=2)
    first, second = (np.asarray(picture(seed, 224)) for seed in (1, 2))
    vectors = encoder.forward([first, (first * 0.9).astype(np.uint8)])
    other = encoder.forward([second])
    assert vectors.shape == (2, spec.dimension)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.9
    assert unit[0] @ unit[1] > unit[0] @ (other[0] / np.linalg.norm(other[0]))
    np.testing.assert_array_equal(encoder.forward([first])[0], vectors[0])  # a short batch is filled up


def test_clip_vit_is_read_out_of_a_whole_clip(tiny_clip: Path) -> None:
    from transformers import CLIPModel

    encoder = ImageEncoder(tiny_clip, REGISTRY["clip-vit"], CPU, batch=2)
    assert (encoder.dimension, encoder.size) == (24, 32)  # as its own config says
    pixels = np.asarray(picture(1, 32))
    whole = CLIPModel.from_pretrained(tiny_clip)  # comes in evaluation mode
    with torch.no_grad():
        vision = whole.vision_model(pixel_values=encoder.prepare(pixels[None].copy())).pooler_output
        expected = whole.visual_projection(vision)
    np.testing.assert_allclose(encoder.forward([pixels])[0], expected[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("prefix", ["visual.", ""], ids=["open_clip", "tower-alone"])
def test_clip_resnet_is_read_from_its_published_names(tmp_path: Path, prefix: str) -> None:
    folder = save_tiny_clip_resnet(tmp_path, prefix)
    encoder = ImageEncoder(folder, REGISTRY["clip-rn50"], CPU, batch=2)
    assert (encoder.dimension, encoder.size) == (20, 64)
    pictures = [np.asarray(picture(seed, 64)) for seed in (1, 2)]
    vectors = encoder.forward(pictures)
    assert np.isfinite(vectors).all()
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-5
    np.testing.assert_array_equal(encoder.forward(pictures[::-1])[::-1], vectors)


def test_the_attention_pool_is_torch_multi_head_attention() -> None:
    torch.manual_seed(3)
    pool = AttentionPool(places=4, channels=128, outputs=16)
    torch.nn.init.normal_(pool.positional_embedding)
    places = torch.randn(2, 128, 2, 2)
    x = places.flatten(2).permute(2, 0, 1)
    x = torch.cat([x.mean(0, keepdim=True), x]) + pool.positional_embedding[:, None]
    biases = torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias])
    expected, _ = functional.multi_head_attention_forward(
        x[:1],
        x,
        x,
        128,
        2,
        None,
        biases,
        None,
        None,
        False,
        0.0,
        pool.c_proj.weight,
        pool.c_proj.bias,
        training=False,
        need_weights=False,
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
    )
    torch.testing.assert_close(pool(places), expected[0])


def test_the_published_rn50_has_the_shape_that_its_weights_say() -> None:
    from components.embed.clip_resnet import ClipResNet

    with torch.device("meta"):
        state = {f"visual.{k}": v for k, v in ClipResNet(64, (3, 4, 6, 3), 1024, 224).state_dict().items()}
    # The count of OpenAI's RN50 vision tower: 38,316,896 weights; its attention pool sees 7 × 7 places and their mean.
    assert sum(v.numel() for k, v in state.items() if "running" not in k and "tracked" not in k) == 38_316_896
    assert tuple(state["visual.attnpool.positional_embedding"].shape) == (50, 2048)


@pytest.mark.parametrize(
    ("state", "lacks"),
    [({"visual.proj": torch.ones(1)}, "no CLIP ResNet"), ({}, "no CLIP ResNet")],
    ids=["a-vit", "nothing"],
)
def test_other_weights_are_refused_as_a_clip_resnet(state: dict[str, torch.Tensor], lacks: str) -> None:
    with pytest.raises(ValueError, match=lacks):
        clip_resnet(state)


def test_weights_from_a_folder_have_the_hash_of_their_files(tiny_bert: Path, tmp_path: Path) -> None:
    spec = REGISTRY["bert"]
    found = revision(spec, str(tiny_bert), "", tmp_path)
    assert fetch(spec, str(tiny_bert), found[:12], tmp_path) == tiny_bert
    with pytest.raises(StepError, match=r"hash to .*restore them, or set embed.text_revision"):
        fetch(spec, str(tiny_bert), "0123", tmp_path)


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ("/no/such/folder", "no such folder"),
        ("nobody/no-such-model", "the hub cannot be reached"),
        ("{empty}", "no .safetensors"),
    ],
    ids=["folder", "hub", "pickles-only"],
)
def test_weights_that_cannot_be_had_say_what_to_do(tmp_path: Path, weights: str, problem: str) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(StepError, match=problem):
        revision(REGISTRY["bert"], weights.replace("{empty}", str(tmp_path)), "", tmp_path / "scratch")


def test_a_damaged_package_is_noticed_before_it_encodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.embed.weights._package_folder", lambda _: tmp_path)
    (tmp_path / "weights.pth").write_bytes(b"other bytes")
    with pytest.raises(StepError, match="damaged or another release"):
        fetch(REGISTRY["efficientnet-lite0"], "", "", tmp_path)


def test_a_missing_gpu_is_a_clear_error() -> None:
    if torch.cuda.is_available():
        assert runtime(EmbedConfig(device="cuda")).workers == 1
        return
    with pytest.raises(StepError, match=r"embed.device = 'cuda'.*set embed.device=cpu"):
        runtime(replace(EmbedConfig(), device="cuda"))


def _text(spec: EncoderSpec) -> TextPreprocessing:
    assert isinstance(spec.preprocessing, TextPreprocessing)
    return spec.preprocessing


def test_a_forward_pass_uses_one_core() -> None:
    """OpenMP would split it, and another number of cores gives other last bits."""
    with runtime(EmbedConfig(device="cpu", threads=2)).pool() as pool:
        assert pool.submit(torch.get_num_threads).result() == 1


def test_an_encoder_of_texts_is_none_of_images(tmp_path: Path) -> None:
    texts = next(spec for spec in REGISTRY.values() if isinstance(spec.preprocessing, TextPreprocessing))
    with pytest.raises(TypeError, match="is no image encoder"):
        ImageEncoder(tmp_path, texts, CPU, 1)


@pytest.mark.parametrize(("commit", "asked"), [("", None), ("abc1234", "abc1234")])
def test_weights_without_a_pinned_commit_are_the_newest(
    commit: str, asked: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    revisions: list[str | None] = []

    def download(_: str, revision: str | None, **__: Any) -> str:
        revisions.append(revision)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert _from_hub("someone/model", commit, next(iter(REGISTRY.values()))) == tmp_path
    assert revisions == [asked]
