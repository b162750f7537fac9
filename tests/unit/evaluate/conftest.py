"""A tiny dataset with an untrained ranker: evaluation does not care how good the weights are."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.artifacts import Artifacts
from components.batches.item_table import item_arrays, table_from, vocabulary_of
from components.dataset.item_ids import pack_ids
from components.dataset.layout import item_info_path
from components.dataset.sample.spec import SIZES
from components.dataset.sample.write import write_sample
from components.evaluate.config import EvaluateConfig
from components.storage.files import write_json
from model.checkpoint import save
from model.config import ModelConfig
from model.items import ItemTable
from model.ranker import Ranker

SMALL = ModelConfig(
    embedding_dim=8,
    history_length=20,
    ffn_dim=8,
    layers=1,
    last_k=4,
    cross="low-rank",
    cross_rank=4,
    cross_layers=1,
    deep_widths=(16,),
    head_widths=(8,),
)


MANIFEST = {"imputed": {"text": [3], "image": [3, 4]}, "imputed_counts": {"text": 1, "image": 2}, "tag_names": []}

CURVES = [{"epoch": 0, "train_loss": 0.6, "valid_auc": 0.61}, {"epoch": 1, "train_loss": 0.5, "valid_auc": 0.6}]


@dataclass(frozen=True)
class Folders:
    dataset: Path
    validation: Path
    embeddings: Path
    training: Path
    champion: Path

    @property
    def config(self) -> EvaluateConfig:
        return EvaluateConfig(slice_rows=50, bootstrap_samples=100)

    @property
    def made(self) -> Artifacts:
        return Artifacts(**vars(self))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample")
    write_sample(root, replace(SIZES["tiny"], content="item_info"))
    return root


@pytest.fixture
def folders(sample: Path, tmp_path: Path) -> Folders:
    """What the steps before evaluate leave: no quarantine, a candidate, and no champion yet."""
    made = Folders(sample, *(tmp_path / name for name in ("validation", "embeddings", "training", "champion")))
    write_json(made.validation / "quarantine.json", {"train": [], "valid": [], "test": []})
    write_json(made.embeddings / "manifest.json", MANIFEST)
    write_json(made.champion / "champion.json", {"version": None})
    save(made.training / "model.safetensors", ranker(sample, seed=1))
    write_json(made.training / "curves.json", {"steps": [], "epochs": CURVES})
    return made


def ranker(sample: Path, seed: int, items: int | None = None, **changes: Any) -> Ranker:
    """Untrained; with `items`, of a time when the catalogue ended there."""
    arrays = item_arrays(item_info_path(sample), sample)
    if items is not None:
        arrays = {name: column[:items] for name, column in arrays.items()}
    torch.manual_seed(seed)
    table = table_from(arrays)
    seen = np.arange(len(arrays["codes"])) < 60
    seen[0] = False
    table = ItemTable(table.codes_NX, table.numbers_NX, table.content_NC, torch.from_numpy(seen))
    made = Ranker(replace(SMALL, **changes), vocabulary_of(arrays), table)
    torch.nn.init.normal_(made.item_encoder.id.weight)  # as written they start near zero, and every score is alike
    return made.eval()


def make_champion(folders: Folders, made: Ranker, version: str = "3", unused: tuple[int, ...] = ()) -> None:
    """`unused` are ids of its table that name no item."""
    save(folders.champion / "package" / "ranker.safetensors", made)
    ids = np.setdiff1d(np.arange(1, made.vocabulary.items), unused)
    write_json(folders.champion / "package" / "manifest.json", {"item_ids": pack_ids(ids)})
    write_json(folders.champion / "champion.json", {"version": version})
