"""A ranker in one safetensors file that says what it is: config, vocabulary, item table, weights, calibration."""

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

from model.calibration import LogitMap
from model.config import Feature, ModelConfig, Vocabulary
from model.items import ItemTable
from model.older_files import older_header, older_tensors
from model.ranker import Ranker

FORMAT = "mmctr.ranker"
VERSION = 3


class CheckpointError(ValueError):
    """The file is no ranker that this version can read."""


@dataclass(frozen=True)
class Header:
    config: ModelConfig
    vocabulary: Vocabulary
    version: int
    meta: dict[str, str]
    calibration: LogitMap | None = None


def save(path: Path, ranker: Ranker, meta: dict[str, str] | None = None) -> None:
    """Writes the file whole or not at all."""
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "config": json.dumps(dataclasses.asdict(ranker.config), sort_keys=True),
        "vocabulary": json.dumps(dataclasses.asdict(ranker.vocabulary), sort_keys=True),
        "meta": json.dumps(meta or {}, sort_keys=True),
    }
    if ranker.calibration is not None:
        header["calibration"] = json.dumps(dataclasses.asdict(ranker.calibration.of), sort_keys=True)
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
        if version < 3:
            config, vocabulary = older_header(header)
        else:
            config, vocabulary = json.loads(header["config"]), _vocabulary(json.loads(header["vocabulary"]))
        calibration = _calibration(json.loads(header.get("calibration", "null")))
        return Header(_config(config), vocabulary, version, json.loads(header["meta"]), calibration)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path}: its header does not describe a ranker of this version ({error})") from None


def load(path: Path, device: str | torch.device = "cpu") -> Ranker:
    """The ranker with its item table, in evaluation mode."""
    header = read_header(path)
    with torch.device("meta"):
        ranker = Ranker(header.config, header.vocabulary, ItemTable.blank(header.vocabulary))
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise CheckpointError(f"{path} is truncated or damaged ({error}): copy it again") from None
    try:
        ranker.load_state_dict(older_tensors(tensors) if header.version < 3 else tensors, assign=True)
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(f"{path}: its tensors do not fit its config: {error}") from None
    if header.calibration is not None:
        ranker.calibrate(header.calibration)
    return ranker.eval()


def _calibration(values: dict[str, Any] | None) -> LogitMap | None:
    if values is None:
        return None
    return LogitMap(**values | {"knots": tuple((float(logit), float(given)) for logit, given in values["knots"])})


def _vocabulary(values: dict[str, Any]) -> Vocabulary:
    item, row, event = (tuple(Feature(**each) for each in values.pop(of, ())) for of in ("item", "row", "event"))
    return Vocabulary(**values, item=item, row=row, event=event)


def _config(values: dict[str, Any]) -> ModelConfig:
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return ModelConfig(**fields)
