"""A ranker in one safetensors file that says what it is: config, vocabulary, item table, weights."""

import dataclasses
import json
import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from model.config import ModelConfig, Vocabulary
from model.items import ItemTable
from model.ranker import Ranker

FORMAT = "mmctr.ranker"
VERSION = 2
# Names of tensors in files of version 1, by the beginning that has changed since.
RENAMED = {"table.content_ND": "table.content_NC", "beside.": "target_attention."}


class CheckpointError(ValueError):
    """The file is no ranker that this version can read."""


@dataclass(frozen=True)
class Header:
    config: ModelConfig
    vocabulary: Vocabulary
    tags: int  # columns of the table's tags
    version: int
    meta: dict[str, str]


def save(path: Path, ranker: Ranker, meta: dict[str, str] | None = None) -> None:
    """Writes the file whole or not at all."""
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "config": json.dumps(dataclasses.asdict(ranker.config), sort_keys=True),
        "vocabulary": json.dumps(dataclasses.asdict(ranker.vocabulary), sort_keys=True),
        "tags": str(ranker.table.tags_NT.shape[1]),
        "meta": json.dumps(meta or {}, sort_keys=True),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in ranker.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, scratch, header)
        with open(scratch, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    finally:
        Path(scratch).unlink(missing_ok=True)


def read_header(path: Path) -> Header:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: train a ranker first, or name another file")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError, struct.error) as error:
        raise CheckpointError(f"{path} is truncated or no safetensors file ({error}): copy it again") from None
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} holds tensors but no ranker (format {header.get('format')!r}, not {FORMAT!r})")
    try:
        version = int(header["version"])
    except (KeyError, ValueError):
        raise CheckpointError(f"{path}: its header names no format version") from None
    if version > VERSION:
        raise CheckpointError(f"{path} has the format version {version}; this mmctr reads up to {VERSION}: update it")
    try:
        config = _config(json.loads(header["config"]))
        vocabulary = Vocabulary(**json.loads(header["vocabulary"]))
        return Header(config, vocabulary, int(header["tags"]), version, json.loads(header["meta"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path}: its header does not describe a ranker of this version ({error})") from None


def load(path: Path, device: str | torch.device = "cpu") -> Ranker:
    """The ranker with its item table, in evaluation mode."""
    header = read_header(path)
    with torch.device("meta"):
        ranker = Ranker(header.config, header.vocabulary, ItemTable.blank(header.vocabulary, header.tags))
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            tensors = {_renamed(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise CheckpointError(f"{path} is truncated or damaged ({error}): copy it again") from None
    try:
        ranker.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its tensors do not fit its config: {error}") from None
    return ranker.eval()


def _renamed(name: str) -> str:
    return next((new + name.removeprefix(old) for old, new in RENAMED.items() if name.startswith(old)), name)


def _config(values: dict[str, Any]) -> ModelConfig:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return ModelConfig(**fields)
