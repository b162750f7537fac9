"""The benchmark's FuxiCTR side, with stand-ins for FuxiCTR, which lives in an environment of its own."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from tests.tiny_training import write_rows

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "fuxictr" / "reference.py"


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Any:
    names = {
        "fuxictr": [],
        "fuxictr.features": ["FeatureMap"],
        "fuxictr.pytorch": [],
        "fuxictr.pytorch.layers": ["CrossNetV2", "FeatureEmbedding", "MLP_Block"],
        "fuxictr.pytorch.models": ["BaseModel"],
    }
    for name, classes in names.items():
        module = ModuleType(name)
        for each in classes:
            setattr(module, each, nn.Module)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("fuxictr_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FastModel(nn.Module):
    def train_step(self, _: Any) -> torch.Tensor:
        return torch.zeros(())


def test_a_fast_machine_does_not_run_out_of_batches(reference: Any, tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", 8)
    rows = reference.Rows(tmp_path / "train.parquet", 12)
    loader = torch.utils.data.DataLoader(rows, 4, collate_fn=lambda rows: ({}, {}, torch.tensor(rows[0])))
    found = reference.measure(FastModel(), loader, warm_up=1, seconds=0.2)
    assert found["steps"] > 2, "an epoch has two batches"
    assert reference.measure_loader(loader, seconds=0.05) > 0
