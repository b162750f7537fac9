"""The registered model, as MLflow runs it: raw rows in, click probabilities out.

MLflow copies this one file next to the weights and executes it where the model is served ("models from code"), so it
imports nothing of this project and nothing is pickled. The network is `ranker.pt2`, with the item table inside. The
package's own `encoder.py`, which is the file that training used, turns raw features into what the network reads.

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
HISTORY, ITEM = "item_seq", "item_id"
HIGHEST = 2**63 - 1
LOWEST = {ITEM: 1, HISTORY: 0}  # item 0 is the padding of histories
ROWS = 2048  # scored at once: bounds the memory of a large request


class ServingModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc] # MLflow ships no types
    def load_context(self, context: Any) -> None:
        package = Path(context.artifacts["package"])
        check_digests(package, context.model_config["sha256"])
        program = torch.export.load(str(package / "ranker.pt2"))
        self.items = next(len(t) for name, t in program.state_dict.items() if name.endswith("table.codes_NX"))
        self.length = int(json.loads((package / "config.json").read_text())["model"]["history_length"])
        self.known = known_items(package / "manifest.json", self.items)
        self.features = load_encoder(package / "encoder.py").read(package / "features.json")
        self.network = program.module()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        item = whole_numbers(model_input[ITEM].tolist(), ITEM)
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
        return whole_numbers(ids.tolist() if isinstance(ids, np.ndarray) else ids, HISTORY, row)

    def _names_item(self, ids: Whole) -> npt.NDArray[np.bool_]:
        return np.asarray(self.known[np.where(ids < self.items, ids, 0)])


def whole_numbers(values: list[Any], column: str, row: int | None = None) -> Whole:
    """The values of a column, or of one row's history; refuses the first that is no whole number or out of range."""
    lowest, highest = LOWEST[column], HIGHEST
    if set(map(type, values)) <= {int} and lowest <= min(values, default=lowest) <= max(values, default=0) <= highest:
        return np.array(values, dtype=np.int64)
    for position, value in enumerate(values):
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not (number and lowest <= value <= highest and value == int(value)):
            raise invalid(
                f"{column}, row {position if row is None else row}: {value!r:.60}; "
                f"must be a whole number from {lowest} to {highest}"
            )
    return np.array([int(value) for value in values], dtype=np.int64)


def invalid(message: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(message)


def check_digests(package: Path, expected: dict[str, str]) -> None:
    """Nothing of a damaged package is read. `expected` stands in `MLmodel`, by file name."""
    for name, digest in expected.items():
        with (package / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise MlflowException(f"{package / name} is not the file that was registered: fetch the version again")


def load_encoder(path: Path) -> Any:
    """The class `Encoder` of the package's file. Each package has its own, so that several can be served at once."""
    loader = importlib.machinery.SourceFileLoader("mmctr_encoder", str(path))
    module = types.ModuleType(loader.name)
    loader.exec_module(module)
    return module.Encoder


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
