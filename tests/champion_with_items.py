"""A champion whose items were embedded for it by tiny encoders, in a registry of its own, and its data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.batches.item_table import load_item_table
from components.embed.config import EmbedConfig
from components.embed.step import embed
from components.fetch_champion.step import fetch_champion
from components.items.refresh import Refreshed, refresh
from components.storage.files import write_json
from components.tracking.models import Models
from components.tracking.server import connect
from components.tracking.tags import PACKAGE_HASH
from model import checkpoint
from model.ranker import Ranker
from tests.services.candidate import TINY, Candidate, make_candidate
from tests.unit.embed.dataset import write_dataset
from tests.unit.embed.tiny_encoders import save_tiny_bert, save_tiny_clip

ITEMS = 24


def write_items(folder: Path, items: int = ITEMS, titles: Mapping[int, str | None] | None = None, **more: Any) -> Path:
    columns = {"likes_level": np.arange(items) % 10 + 1, "views_level": 3 * np.arange(items) % 10 + 1}
    return write_dataset(folder, items, titles, columns={**columns, **more}, train=range(1, ITEMS + 1))


@dataclass(frozen=True)
class World:
    root: Path
    models: Models
    candidate: Candidate

    @property
    def cache(self) -> Path:
        return self.root / "cache" / "embeddings"

    @property
    def package(self) -> str:
        """The hash of the champion's files."""
        return self.models.version(1).tags[PACKAGE_HASH]

    def refresh(self, data: Path, models: Models | None = None) -> Refreshed:
        champion = data.with_name(f"{data.name}-champion")
        fetch_champion("mmctr", champion, self.models.server)
        return refresh(data, champion, models or self.models, self.cache, "Ada", "new data")


def make_world(root: Path) -> World:
    """Version 1 of `mmctr` is the champion of the registry in the workspace `root`, and knows the items of `root/data`.

    Call it with MLFLOW_TRACKING_URI unset and MMCTR_WORKSPACE set to `root`.
    """
    data = write_items(root / "data")
    config = replace(
        EmbedConfig(dimension=8, text_batch=4, image_batch=4, bad_input_limit=0.1),
        text_encoder="bert",
        text_weights=str(save_tiny_bert(root / "bert")),
        image_encoder="clip-vit",
        image_weights=str(save_tiny_clip(root / "clip")),
    )
    candidate = make_candidate(root / "made")
    candidate = replace(candidate, config=replace(candidate.config, embed=config))
    write_json(root / "nobody" / "champion.json", {"version": None})
    embeddings = candidate.made.embeddings
    (embeddings / "projection.npz").unlink()
    embed(data, root / "nobody", config, root / "cache" / "embeddings", embeddings)
    table, vocabulary = load_item_table(embeddings / "item_info.parquet", data)
    torch.manual_seed(1)
    ranker = Ranker(TINY, vocabulary, table)
    with torch.no_grad():  # far from the small first weights, so that scores differ visibly
        for weight in ranker.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        ranker.item_encoder.id.weight[0] = 0.0
    checkpoint.save(candidate.made.training / "model.safetensors", ranker)
    candidate.register("first", root / "registration")
    models = Models(connect(f"sqlite:///{root / 'mlflow.db'}"), "mmctr")
    models.set_alias("champion", 1)
    return World(root, models, candidate)
