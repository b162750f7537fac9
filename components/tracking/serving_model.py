"""The registered model, as MLflow runs it: raw rows in, click probabilities out.

MLflow copies this one file next to the weights and executes it where the model is served ("models from code"), so it
imports nothing of this project and nothing is pickled. The network is `ranker.pt2`, with the item table inside. The
package's own `encoder.py`, which is the file that training used, turns raw features into what the network reads.

Rows name items by the data set's numbers, or by the team's own ids where the package has an `item_ids.parquet`.

An id that the model has never seen is no error, because catalogues grow faster than models: an unknown item of a
history is left out of it, as padding is; an unknown candidate is scored as the padding item, so from the history and
the row's features alone, and its `known_item` is false, so that the caller may rank it by a rule of its own.

What is no id and no value of a feature is refused with an MlflowException of the code INVALID_PARAMETER_VALUE, which
MLflow's scoring server answers as a 400 with the message alone; of every other exception it shows the stack trace.
"""

import base64
import hashlib
import importlib.machinery
import json
import types
import zlib
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from mlflow.exceptions import MlflowException

Whole = npt.NDArray[np.int64]
HISTORY, ITEM, ITEM_IDS = "item_seq", "item_id", "item_ids.parquet"
ROWS = 2048  # scored at once: bounds the memory of a large request


class ServingModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc] # MLflow ships no types
    def load_context(self, context: Any) -> None:
        package = Path(context.artifacts["package"])
        check_digests(package, context.model_config["sha256"])
        program = torch.export.load(str(package / "ranker.pt2"))
        self.items = next(len(t) for name, t in program.state_dict.items() if name.endswith("table.codes_NX"))
        self.length = int(json.loads((package / "config.json").read_text())["model"]["history_length"])
        self.known = known_items(package / "manifest.json", self.items)
        encoder = load_module(package / "encoder.py")
        self.features = encoder.Encoder.read(package / "features.json")
        own = pd.read_parquet(package / ITEM_IDS) if (package / ITEM_IDS).exists() else None
        self.ids = encoder.ItemIds(None if own is None else dict(zip(own["raw"], own["id"].tolist(), strict=True)))
        self.network = program.module()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        item = self._numbers(model_input[ITEM].tolist(), ITEM)
        try:
            columns = {feature.name: model_input[feature.name].tolist() for feature in self.features.row}
            codes, numbers = self.features.rows(columns, len(item))
        except ValueError as error:
            raise invalid(str(error)) from None
        given = [self._history(row, ids) for row, ids in enumerate(model_input[HISTORY])]
        kept = [np.flatnonzero(self._names_item(history))[-self.length :] for history in given]
        histories = [history[places] for history, places in zip(given, kept, strict=True)]
        events = self._events(model_input, given, kept)
        known = self._names_item(item)
        candidate = np.where(known, item, 0)
        scores = np.empty(len(item), dtype=np.float64)
        for start in range(0, len(item), ROWS):
            part = slice(start, start + ROWS)
            tensors: list[Any] = [padded(histories[part])] + [
                torch.from_numpy(c[part]) for c in (candidate, codes, numbers)
            ]
            if events:
                tensors.append(tuple(padded(block[part]) for block in events))
            with torch.inference_mode():  # in float32 all logits above 16.6 would become the probability 1
                scores[part] = torch.sigmoid(self.network(*tensors).double()).numpy()
        return pd.DataFrame({"probability": scores, "known_item": known})

    def _events(self, model_input: pd.DataFrame, given: list[Whole], kept: list[Whole]) -> list[list[Any]]:
        """The codes and the numbers of the events that are kept of each history; empty if the model reads none."""
        if not self.features.event:
            return []
        try:
            columns = {feature.name: model_input[feature.name].tolist() for feature in self.features.event}
            blocks = self.features.events(columns, given)
        except ValueError as error:
            raise invalid(str(error)) from None
        ends = np.cumsum([np.count_nonzero(history) for history in given])[:-1]
        places = [ids - np.cumsum(history == 0)[ids] for history, ids in zip(given, kept, strict=True)]
        return [[own[its] for own, its in zip(np.split(block, ends), places, strict=True)] for block in blocks]

    def _history(self, row: int, ids: Any) -> Whole:
        if not isinstance(ids, list | np.ndarray):
            raise invalid(f"{HISTORY}, row {row}: {ids!r:.60}; must be a list of item ids, oldest first")
        return self._numbers(ids.tolist() if isinstance(ids, np.ndarray) else ids, HISTORY, row)

    def _numbers(self, values: list[Any], column: str, row: int | None = None) -> Whole:
        """Of the items of a column, or of one row's history."""
        try:
            return np.asarray(self.ids.numbers(values, column, padded=column == HISTORY))
        except ValueError as error:  # a FeatureError of the package's encoder
            raise invalid(str(error if row is None else error.at(row))) from None  # type: ignore[attr-defined]

    def _names_item(self, ids: Whole) -> npt.NDArray[np.bool_]:
        return np.asarray(self.known[np.where(ids < self.items, ids, 0)])


def invalid(message: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(message)


def check_digests(package: Path, expected: dict[str, str]) -> None:
    """Nothing of a damaged package is read. `expected` stands in `MLmodel`, by file name."""
    for name, digest in expected.items():
        with (package / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise MlflowException(f"{package / name} is not the file that was registered: fetch the version again")


def load_module(path: Path) -> Any:
    """The package's `encoder.py`. Each package has its own, so that several can be served at once."""
    loader = importlib.machinery.SourceFileLoader("mmctr_encoder", str(path))
    module = types.ModuleType(loader.name)
    loader.exec_module(module)
    return module


def known_items(manifest: Path, items: int) -> npt.NDArray[np.bool_]:
    """Which ids name an item: the table has all-zero rows for unused ids too. Without a list, all ids do."""
    packed = json.loads(manifest.read_text()).get("item_ids")
    known = np.full(items, packed is None)
    if packed is not None:  # a compressed bitmap, see components/dataset/item_ids.py
        bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8))[:items]
        known[: len(bits)] = bits != 0
    known[0] = False
    return known


def padded(rows: list[npt.NDArray[Any]]) -> torch.Tensor:
    """Histories, or the features of their events. Padding is 0, on the left; at least one column."""
    padded_BLX = np.zeros((len(rows), max([1, *map(len, rows)]), *rows[0].shape[1:]), rows[0].dtype)
    for row, own in enumerate(rows):
        if len(own):
            padded_BLX[row, -len(own) :] = own
    return torch.from_numpy(padded_BLX)


mlflow.models.set_model(ServingModel())
