"""The registered model, as MLflow runs it: raw rows in, click probabilities out.

MLflow copies this one file beside the weights and executes it where the model is served ("models from code"), so it
imports nothing of this project and nothing is pickled. The network is `ranker.pt2`, with the item table inside.

An id that the model has never seen is no error, because catalogues grow faster than models: an unknown item of a
history is left out of it, as padding is; an unknown candidate is scored as the padding item, so from the history and
the row's levels alone, and its `known_item` is false, so that the caller may rank it by a rule of its own.
"""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

Whole = npt.NDArray[np.int64]
HISTORY, ITEM, LIKES, VIEWS = "item_seq", "item_id", "likes_level", "views_level"
LEVELS = 11  # 0 is unknown, 1 to 10 are deciles
ROWS = 2048  # scored at once: bounds the memory of a large request


class ServingModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc] # MLflow ships no types
    def load_context(self, context: Any) -> None:
        package = Path(context.artifacts["package"])
        program = torch.export.load(str(package / "ranker.pt2"))
        self.items = next(len(t) for name, t in program.state_dict.items() if name.endswith("table.likes_N"))
        self.length = int(json.loads((package / "config.json").read_text())["model"]["history_length"])
        self.known = known_items(package / "manifest.json", self.items)
        self.network = program.module()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        item = self._whole_numbers(model_input, ITEM)
        likes, views = self._levels(model_input, LIKES), self._levels(model_input, VIEWS)
        histories = [self._known_history(row, ids) for row, ids in enumerate(model_input[HISTORY])]
        known = self._names_item(item)
        candidate = np.where(known, item, 0)
        scores = np.empty(len(item), dtype=np.float64)
        for start in range(0, len(item), ROWS):
            part = slice(start, start + ROWS)
            tensors = [padded(histories[part])] + [torch.from_numpy(c[part]) for c in (candidate, likes, views)]
            with torch.inference_mode():
                scores[part] = torch.sigmoid(self.network(*tensors)).numpy()
        return pd.DataFrame({"probability": scores, "known_item": known})

    def _known_history(self, row: int, ids: Any) -> Whole:
        ids = np.asarray(ids if ids is not None else [], dtype=np.int64)
        if ids.ndim != 1 or (ids < 0).any():
            raise ValueError(f"{HISTORY}, row {row}: must be one list of item ids, oldest first, none negative")
        known: Whole = ids[self._names_item(ids)]
        return known[-self.length :]

    def _names_item(self, ids: Whole) -> npt.NDArray[np.bool_]:
        return np.asarray(self.known[np.where(ids < self.items, ids, 0)])

    def _levels(self, frame: pd.DataFrame, column: str) -> Whole:
        levels = self._whole_numbers(frame, column)
        if (levels >= LEVELS).any():
            raise ValueError(f"{column} = {levels.max()}: must be 0 (unknown) to {LEVELS - 1}")
        return levels

    def _whole_numbers(self, frame: pd.DataFrame, column: str) -> Whole:
        values = frame[column].to_numpy()
        if values.dtype.kind not in "iu" or (values < 0).any():
            raise ValueError(f"{column}: must hold whole numbers from 0 on, none missing")
        whole: Whole = values.astype(np.int64)
        return whole


def known_items(manifest: Path, items: int) -> npt.NDArray[np.bool_]:
    """Which ids name an item: the table has all-zero rows for unused ids too. Without a list, all ids do."""
    packed = json.loads(manifest.read_text()).get("item_ids")
    known = np.full(items, packed is None)
    if packed is not None:  # a compressed bitmap, see components/dataset/item_ids.py
        bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8))[:items]
        known[: len(bits)] = bits != 0
    known[0] = False
    return known


def padded(histories: list[Whole]) -> torch.Tensor:
    """Padding is 0, on the left; at least one column."""
    padded_BL = np.zeros((len(histories), max([1, *map(len, histories)])), dtype=np.int64)
    for row, ids in enumerate(histories):
        if len(ids):
            padded_BL[row, -len(ids) :] = ids
    return torch.from_numpy(padded_BL)


mlflow.models.set_model(ServingModel())
