"""Randomly initialised encoders, a few kilobytes each, saved in the formats that the published weights have."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from components.embed.clip_resnet import ClipResNet
from tests.unit.embed.dataset import WORDS


def save_tiny_bert(folder: Path, hidden: int = 32) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnopqrstuvwxyz", "##a", "##s"]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def save_tiny_clip(folder: Path) -> Path:
    """A whole CLIP, as it is published: the vision tower is read out of it."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(1)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "projection_dim": 24,
    }
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 40,
        "max_position_embeddings": 16,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).save_pretrained(folder)
    return folder


def save_tiny_clip_resnet(folder: Path, prefix: str = "visual.") -> Path:
    torch.manual_seed(2)
    network = ClipResNet(width=16, layers=(1, 2, 1, 1), outputs=20, image_size=64)
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"{prefix}{name}": value.contiguous() for name, value in network.state_dict().items()}
    state[f"{prefix}attnpool.positional_embedding"] += torch.randn(5, 512) * 0.1
    if prefix:
        state["transformer.resblocks.0.ln_1.weight"] = torch.ones(3)  # the text tower that comes along
    save_file(state, folder / "open_clip_model.safetensors")
    return folder
