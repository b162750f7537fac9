"""The serving model, which imports nothing of the project, reads a package's list of items as the project writes it."""

from pathlib import Path

import numpy as np
import pytest

from components.dataset.item_ids import pack_ids
from components.storage.files import write_json

# MLflow warns at import that it does not check the types of `predict`, which the model does itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint")


def test_only_listed_ids_name_an_item(tmp_path: Path) -> None:
    from components.tracking.serving_model import ServingModel, known_items

    write_json(tmp_path / "manifest.json", {"item_ids": pack_ids(np.array([1, 2, 5, 9]))})
    model = ServingModel()
    model.items, model.known = 8, known_items(tmp_path / "manifest.json", 8)
    assert np.flatnonzero(model.known).tolist() == [1, 2, 5]
    ids = np.array([0, 1, 3, 5, 9, 2**62])
    assert model._names_item(ids).tolist() == [False, True, False, True, False, False]


def test_a_package_of_an_earlier_version_knows_every_row_of_its_table(tmp_path: Path) -> None:
    from components.tracking.serving_model import known_items

    write_json(tmp_path / "manifest.json", {"items": 3})
    assert known_items(tmp_path / "manifest.json", 4).tolist() == [False, True, True, True]
