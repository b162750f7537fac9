"""Where a model runs: `auto` takes a GPU if there is one, and a number of a process decides which."""

import pytest
import torch

from components.batches.device import pick_device


@pytest.mark.parametrize(
    ("asked", "gpu", "picked"),
    [("auto", False, "cpu"), ("auto", True, "cuda:2"), ("cpu", True, "cpu"), ("cuda", True, "cuda:2")],
)
def test_auto_takes_a_gpu_if_there_is_one(asked: str, gpu: bool, picked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    assert str(pick_device(asked, 2)) == picked
