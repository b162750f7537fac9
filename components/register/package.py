"""Fills a model package from what the steps made."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import Artifacts
from components.dataset.layout import ITEM_IDS
from components.errors import StepError
from components.packages.format import (
    CONFIG,
    ENCODER,
    LINEAGE,
    MANIFEST,
    METRICS,
    PROGRAM,
    PROJECTION,
    RANKER,
    STATISTICS,
    VERDICT,
    package_hash,
)
from components.register.export import export
from components.schema import encoder
from components.schema.fitted import FEATURES, read_features
from components.storage.files import write_json
from model import checkpoint


def build_package(made: Artifacts, config: Mapping[str, Any], out: Path) -> str:
    """Fills `out` and returns the hash of its content. `config` is the whole config of the run, as JSON holds it."""
    copy_parts(made, config, out)
    export(checkpoint.load(out / RANKER), out / PROGRAM)
    return package_hash(out)


def copy_parts(made: Artifacts, config: Mapping[str, Any], out: Path) -> None:
    """All but the program: what validating, training and comparing against this model need."""
    out.mkdir(parents=True, exist_ok=True)
    for source, name in (
        (made.training / "model.safetensors", RANKER),
        (made.validation / STATISTICS, STATISTICS),
        (made.embeddings / PROJECTION, PROJECTION),
        (made.embeddings / MANIFEST, MANIFEST),
        (made.evaluation / METRICS, METRICS),
        (made.decision / VERDICT, VERDICT),
        (made.lineage / LINEAGE, LINEAGE),
    ):
        if not source.is_file():
            raise StepError(f"{source} is missing: the step that writes it did not finish; run the pipeline again")
        shutil.copyfile(source, out / name)
    write_json(out / FEATURES, read_features(made.validation).to_json())
    if (made.validation / ITEM_IDS).is_file():
        shutil.copyfile(made.validation / ITEM_IDS, out / ITEM_IDS)
    shutil.copyfile(encoder.__file__, out / ENCODER)
    write_json(out / CONFIG, config)


def weights_hash(path: Path) -> str:
    """The hash of a ranker's tensors. Not of its file: safetensors orders what a header holds anew at each writing."""
    digest = hashlib.sha256()
    for name, tensor in sorted(checkpoint.load(path).state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
