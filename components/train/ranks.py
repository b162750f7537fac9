"""The processes that train together, as torchrun or a TrainJob starts them. One process is a group of one."""

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from components.batches.device import pick_device

# If a rank dies, its connections close and the others end at once. This limit is for a rank that hangs.
SILENCE = datetime.timedelta(minutes=15)


@dataclass(frozen=True)
class Ranks:
    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def any(self, *said: bool) -> list[bool]:
        """For each question, whether any rank says yes; the same answer on every rank."""
        if self.count == 1:
            return list(said)
        answers = torch.tensor(said, dtype=torch.int32, device=self.device)
        dist.all_reduce(answers, dist.ReduceOp.MAX)
        return [bool(answer) for answer in answers.tolist()]

    def share_buffers(self, module: nn.Module) -> None:
        """Rank 0's running statistics on every rank. The item table is a buffer too, but the same everywhere."""
        if self.count > 1:
            for name, buffer in module.named_buffers():
                if not name.startswith("table."):
                    dist.broadcast(buffer, 0)

    def gather(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The values of all ranks one after another, on every rank: metrics are computed on all rows, not averaged."""
        if self.count == 1:
            return values
        return np.concatenate(self.gather_objects(values))

    def gather_objects(self, value: Any) -> list[Any]:
        if self.count == 1:
            return [value]
        gathered: list[Any] = [None] * self.count
        dist.all_gather_object(gathered, value)
        return gathered


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Joins the group that the environment names (RANK, WORLD_SIZE and LOCAL_RANK, set by torchrun)."""
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if count == 1:
        yield Ranks(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=SILENCE)
    try:
        yield Ranks(rank, count, chosen)
    finally:
        # A gloo group stays until the process ends. To destroy one, torch 2.13 waits for its thread while holding the
        # GIL. That thread may need the GIL to free a tensor, and then both wait for ever.
        if dist.get_backend() == "nccl":
            dist.destroy_process_group()
