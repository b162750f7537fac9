"""The same ranker on FuxiCTR's layers, trained by FuxiCTR's own loop. Runs in an environment of its own:

    python -m venv F && F/bin/pip install torch==2.13.0 fuxictr==2.3.10
    F/bin/python benchmarks/fuxictr/reference.py --data D --dims challenge --batch 128 --seconds 20

It follows the loader convention of the challenge's public baselines: a batch's items, padding and all, are looked up
row by row in a pandas table while the batch is collated, and every one of them is embedded. The padding mask is right.
Prints one JSON object.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuxictr
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.layers import CrossNetV2, FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

DIMS: dict[str, dict[str, Any]] = {
    "challenge": {"embedding": 64, "content": 128, "history": 100, "ffn": 256, "k": 16, "deep": [1024, 512, 256]},
    "small": {"embedding": 16, "content": 16, "history": 20, "ffn": 64, "k": 4, "deep": [256, 128, 64]},
}
ROW = ["likes_level", "views_level", "label"]


class Rows(Dataset):  # type: ignore[type-arg]
    """One integer array: history, target, levels, label."""

    def __init__(self, path: Path, history: int) -> None:
        table = pq.read_table(path)
        sequence = table.column("item_seq").combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
        columns = [table.column(name).to_numpy() for name in ("item_id", *ROW)]
        self.array = np.column_stack([sequence[:, -history:], *columns])

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> np.ndarray:
        row: np.ndarray = self.array[index]
        return row


class Collate:
    def __init__(self, item_info: Path, history: int) -> None:
        self.items = pd.read_parquet(item_info).set_index("item_id")
        self.history = history

    def __call__(self, rows: list[np.ndarray]) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        batch = default_collate(rows)
        ids = batch[:, : self.history + 1]
        found = self.items.loc[ids.flatten().numpy()]
        items = {name: torch.from_numpy(np.array(found[name].to_list())) for name in found.columns}
        items["item_id"] = ids.flatten()
        levels = {name: batch[:, self.history + 1 + at] for at, name in enumerate(ROW)}
        return levels, items, ids[:, : self.history] > 0


def feature_map(items: int, tags: int, dims: dict[str, Any]) -> FeatureMap:
    made = FeatureMap("benchmark", tempfile.gettempdir())
    level = {"source": "", "type": "categorical", "padding_idx": 0, "vocab_size": 11}
    item = {"source": "item", "padding_idx": 0}
    made.features = OrderedDict(
        likes_level=level,
        views_level=dict(level),
        item_id={**item, "type": "categorical", "vocab_size": items},
        item_tags={**item, "type": "sequence", "vocab_size": tags, "feature_encoder": "layers.MaskedAveragePooling()"},
        item_emb_d128={"source": "item", "type": "embedding", "pretrain_dim": 128, "embedding_dim": dims["content"]},
    )
    made.labels = ["label"]
    return made


class Reference(BaseModel):  # type: ignore[misc]
    """[item; target] -> transformer -> last k and max -> cross network beside deep network -> head."""

    def __init__(self, features: FeatureMap, dims: dict[str, Any]) -> None:
        settings = {"verbose": 0, "model_root": tempfile.gettempdir(), "metrics": ["AUC"]}
        super().__init__(features, model_id="reference", gpu=-1, **settings)
        self.k = dims["k"]
        self.item_width = 2 * dims["embedding"] + dims["content"]
        width = 2 * self.item_width
        self.embedding_layer = FeatureEmbedding(features, dims["embedding"])
        layer = nn.TransformerEncoderLayer(width, 1, dims["ffn"], dropout=0.2, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.pool = nn.Linear(width, width)
        features_width = 2 * dims["embedding"] + self.item_width + (self.k + 1) * width
        self.cross = CrossNetV2(features_width, 3)
        self.deep = MLP_Block(features_width, dims["deep"], dropout_rates=0.2)
        self.head = MLP_Block(features_width + dims["deep"][-1], [64, 32], output_dim=1, output_activation="Sigmoid")
        self.compile("adam", "binary_crossentropy", 5e-4)
        self.reset_parameters()

    def forward(self, inputs: tuple[dict[str, Tensor], dict[str, Tensor], Tensor]) -> dict[str, Tensor]:
        levels, items, real = inputs
        row = self.embedding_layer({name: levels[name] for name in ("likes_level", "views_level")}, flatten_emb=True)
        encoded = self.embedding_layer(items, flatten_emb=True).view(len(real), -1, self.item_width)
        target = encoded[:, -1]
        joined = torch.cat([encoded[:, :-1], target[:, None].expand(-1, real.shape[1], -1)], -1)
        read = self.transformer(joined, src_key_padding_mask=~real).masked_fill(~real[..., None], 0.0)
        newest = torch.nn.functional.pad(read, (0, 0, self.k, 0))[:, -self.k :].flatten(1)
        largest = self.pool(read.masked_fill(~real[..., None], -1e9).max(1).values)
        features = torch.cat([row, target, newest, largest], -1)
        return {"y_pred": self.head(torch.cat([self.cross(features), self.deep(features)], -1))}

    def get_labels(self, inputs: tuple[dict[str, Tensor], dict[str, Tensor], Tensor]) -> Tensor:
        return inputs[0]["label"].float().view(-1, 1)


def endless(loader: "DataLoader[Any]") -> Iterator[Any]:
    """Epoch after epoch, so that a fast machine does not run out of batches before its time is up."""
    while True:
        yield from loader


def measure(model: Reference, loader: "DataLoader[Any]", warm_up: int, seconds: float) -> dict[str, Any]:
    """What FuxiCTR's `train_epoch` does with a batch, `loss.item()` included, until `seconds` of CPU time are spent."""
    model.train()
    model._max_gradient_norm = 10.0
    batches, rows, loading = endless(loader), 0, 0.0
    start = cpu = time.process_time()
    wall = time.perf_counter()
    step = 0
    while step < warm_up + 2 or cpu - start < seconds:
        if step == warm_up:
            start, wall, rows, loading = time.process_time(), time.perf_counter(), 0, 0.0
        before = time.process_time()
        batch = next(batches)
        loading += time.process_time() - before
        model.train_step(batch).item()
        rows += len(batch[2])
        step += 1
        cpu = time.process_time()
    return {
        "rows": rows,
        "steps": step - warm_up,
        "cpu_seconds": cpu - start,
        "wall_seconds": time.perf_counter() - wall,
        "samples_per_cpu_second": rows / (cpu - start),
        "loading_share": loading / (cpu - start),
    }


def measure_loader(loader: "DataLoader[Any]", seconds: float) -> float:
    rows, start = 0, time.process_time()
    for batch in endless(loader):
        rows += len(batch[2])
        if time.process_time() - start > seconds:
            break
    return rows / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dims", choices=sorted(DIMS), required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--loader-only", action="store_true")
    asked = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    dims = DIMS[asked.dims]
    rows = Rows(asked.data / "dataset" / "train.parquet", dims["history"])
    collate = Collate(asked.data / "embeddings" / "item_info.parquet", dims["history"])
    loader: DataLoader[Any] = DataLoader(rows, asked.batch, shuffle=True, num_workers=0, collate_fn=collate)
    if asked.loader_only:
        found: dict[str, Any] = {"samples_per_cpu_second": measure_loader(loader, asked.seconds)}
    else:
        tags = int(np.stack(collate.items["item_tags"].to_list()).max()) + 1
        model = Reference(feature_map(len(collate.items), tags, dims), dims)
        found = measure(model, loader, asked.warm_up, asked.seconds)
        found["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    found["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["versions"] = {"fuxictr": getattr(fuxictr, "__version__", "?"), "torch": torch.__version__}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
