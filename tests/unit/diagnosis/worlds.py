"""Small worlds whose clicks follow a rule that the test chooses, and rankers that are really trained on them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from components.artifacts import Artifacts
from components.batches.rows import RowStore
from components.batches.scoring import score
from components.diagnosis.diagnose import diagnose
from components.diagnosis.learning import Rows
from components.storage.files import read_json, write_json
from components.train.step import train
from model.checkpoint import load
from model.config import ModelConfig
from model.ranker import Ranker
from tests.tiny_training import MODEL, recipe

Array = npt.NDArray[Any]
Columns = dict[str, Any]
ITEMS, LONGEST, CONTENT = 40, 10, 6
NAMES = (
    *("test_below_valid", "valid_falls", "content_hurts", "one_feature"),
    *("attention_even", "attention_collapsed", "attention_on_padding"),
)


def likes(columns: Columns, rng: np.random.Generator) -> Array:
    """The chance of a click in a world without tricks: some items are liked more, and a fresh history helps."""
    del rng
    popular = np.where(columns["item_id"] % 2, 0.6, 0.2)
    return np.asarray(popular + 0.3 * (columns["item_seq"][:, -1] % 2 == columns["item_id"] % 2))


@dataclass(frozen=True)
class World:
    chance: Callable[[Columns, np.random.Generator], Array] = likes
    test_chance: Callable[[Columns, np.random.Generator], Array] | None = None
    rows: dict[str, int] = field(default_factory=lambda: {"train": 3000, "valid": 1500, "test": 1500})
    items: dict[str, tuple[int, int]] = field(default_factory=dict)  # by split: the ids of its targets
    change: Callable[[str, Columns], None] = lambda split, columns: None  # noqa: ARG005
    content: Callable[[np.random.Generator], Array] = lambda rng: rng.normal(size=(ITEMS, CONTENT))
    seed: int = 1

    def write(self, folder: Path) -> Artifacts:
        rng = np.random.default_rng(self.seed)
        folder.mkdir(parents=True)
        for split, rows in self.rows.items():
            chance = self.test_chance if split == "test" and self.test_chance else self.chance
            columns = self._columns(rng, rows, *self.items.get(split, (1, ITEMS)))
            columns["label"] = (rng.random(rows) < chance(columns, rng)).astype(np.int64)
            self.change(split, columns)
            pq.write_table(
                pa.table({**columns, "item_seq": pa.array(list(columns["item_seq"]))}), folder / f"{split}.parquet"
            )
        ids, levels = np.arange(ITEMS), rng.integers(1, 11, (2, ITEMS))
        pq.write_table(
            pa.table({"item_id": ids[1:], "likes_level": levels[0, 1:], "views_level": levels[1, 1:]}),
            folder / "item_feature.parquet",
        )
        tags, content = rng.integers(0, 9, (ITEMS, 5)), self.content(rng).astype(np.float32)
        tags[0], content[0] = 0, 0
        table = {"item_id": ids, "item_tags": pa.array(list(tags)), "item_emb_d128": pa.array(list(content))}
        pq.write_table(pa.table(table), folder / "item_info.parquet")
        write_json(folder / "quarantine.json", {})
        return Artifacts(dataset=folder, validation=folder, embeddings=folder)

    @staticmethod
    def _columns(rng: np.random.Generator, rows: int, first: int, end: int) -> Columns:
        lengths = rng.integers(1, LONGEST + 1, rows)
        history = rng.integers(1, ITEMS, (rows, LONGEST))
        history[np.arange(LONGEST) < LONGEST - lengths[:, None]] = 0
        return {
            "user_id": np.arange(rows) // 3 + rng.integers(10**9),
            "item_id": rng.integers(first, end, rows),
            "item_seq": history,
            "likes_level": rng.integers(1, 11, rows),
            "views_level": rng.integers(1, 11, rows),
        }


def trained(made: Artifacts, folder: Path, model: ModelConfig = MODEL, **settings: Any) -> tuple[Ranker, list[Any]]:
    """The ranker and the curves of its epochs."""
    train(
        made,
        recipe(model, **{"batch_size": 256, "learning_rate": 1e-2, "max_epochs": 4, **settings}),
        folder / "work",
        folder / "out",
    )
    return load(folder / "out" / "model.safetensors"), read_json(folder / "out" / "curves.json")["epochs"]


def found(world: World, folder: Path, model: ModelConfig = MODEL, **settings: Any) -> dict[str, Any]:
    """The findings of a trained ranker, by name."""
    made = world.write(folder / "data")
    ranker, curves = trained(made, folder, replace(model, history_length=LONGEST), **settings)
    valid, test = (RowStore.build(made.dataset / f"{split}.parquet", folder / "rows") for split in ("valid", "test"))
    measured = Rows(test.label.astype(np.int64), score(ranker, test), np.asarray(test.user, dtype=np.int64))
    findings = diagnose(ranker, valid, measured, "test", curves, torch.device("cpu"))["findings"]
    assert tuple(finding["name"] for finding in findings) == NAMES
    return {finding["name"]: finding for finding in findings}


def warned(findings: dict[str, Any]) -> set[str]:
    return {name for name, finding in findings.items() if finding["warns"]}
