"""The processes that train together, as torchrun or a TrainJob starts them. One process is a group of one."""

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from components.batches.device import pick_device

Answer = TypeVar("Answer")
# gloo raises RuntimeError alone. Most of its messages name its source file; one about a silent peer does not.
_SIGNS_OF_GLOO = ("/gloo/", "Application timeout caused pair closure")


@dataclass(frozen=True)
class Ranks:
    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def any(self, said: bool) -> bool:
        """Whether any rank says yes; the same answer on every rank."""
        if self.count == 1:
            return said
        answer = torch.tensor(said, dtype=torch.int32, device=self.device)
        dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer.item())

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

    def of_first(self, value: Answer) -> Answer:
        """What the first rank says, on every rank."""
        answer: Answer = self.gather_objects(value)[0]
        return answer

    def gather_objects(self, value: Any) -> list[Any]:
        if self.count == 1:
            return [value]
        gathered: list[Any] = [None] * self.count
        dist.all_gather_object(gathered, value)
        return gathered


def is_lost_contact(error: RuntimeError) -> bool:
    """Whether a collective failed because another rank, its host or the network is gone."""
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in _SIGNS_OF_GLOO)


@contextmanager
def joined(device: str, silence: datetime.timedelta) -> Iterator[Ranks]:
    """Joins the group that the environment names (RANK, WORLD_SIZE and LOCAL_RANK, set by torchrun).

    A rank that dies closes its connections, which ends the others at once. A host that loses its power or its network
    closes nothing: then the others wait for `silence` and end.
    """
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if count == 1:
        yield Ranks(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=silence)
    try:
        yield Ranks(rank, count, chosen)
    finally:
        # A gloo group stays until the process ends. To destroy one, torch 2.13 waits for its thread while holding the
        # GIL. That thread may need the GIL to free a tensor, and then both wait for ever.
        if dist.get_backend() == "nccl":
            dist.destroy_process_group()
