"""The loss of a global batch, and one optimizer step down it."""

from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from components.batches.loader import Batch
from components.batches.scoring import score_batch
from components.train.arithmetic import autocast, clip_gradients
from components.train.config import TrainConfig
from components.train.ranks import Ranks
from model import losses
from model.ranker import Ranker
from model.staircase import retire_gradient


class Objective(nn.Module):
    """The loss of the rows of all ranks together, whose gradient flows through this rank's own.

    So each rank sees the same number, as one process would, and pairs are formed across ranks. The ranks' gradients
    add up to that of the global batch.
    """

    def __init__(self, ranker: Ranker, config: TrainConfig, ranks: Ranks) -> None:
        super().__init__()
        self.ranker, self.config, self.ranks = ranker, config, ranks

    def forward(self, batch: Batch, sizes: list[int]) -> tuple[Tensor, Tensor]:
        """(loss, regularisation) of a batch of which rank r holds `sizes[r]` rows."""
        logits = self._everyones(score_batch(self.ranker, batch).float(), sizes)
        labels = self._everyones(batch.label_B, sizes)
        loss: Tensor = losses.bce(logits, labels)
        if share := self.config.pairwise_weight:
            loss = (1 - share) * loss + share * losses.pairwise(logits, labels)
        return loss, self._regularisation(batch)

    def _regularisation(self, batch: Batch) -> Tensor:
        total: Tensor = batch.label_B.new_zeros(())
        if self.config.embedding_l2:
            total = total + self.config.embedding_l2 * losses.touched_l2(self.ranker, self._touched(batch.distinct_U))
        weights = {"align": self.config.align_weight, "distil": self.config.distil_weight}
        for name, loss in self.ranker.auxiliary_losses(batch.distinct_U).items():
            total = total + weights[name] * loss  # at weight 0 too: DDP needs a gradient for every parameter
        return total

    def _touched(self, distinct_U: Tensor) -> Tensor:
        """The distinct items of all ranks, so that an item that two ranks touch is regularised once."""
        if self.ranks.count == 1:
            return distinct_U
        everyones = [ids.to(distinct_U.device) for ids in self.ranks.gather_objects(distinct_U.cpu())]
        ids: Tensor = torch.unique(torch.cat(everyones))
        return ids

    def _everyones(self, values_B: Tensor, sizes: list[int]) -> Tensor:
        if self.ranks.count == 1:
            return values_B
        padded = values_B.new_zeros(max(sizes))
        padded[: len(values_B)] = values_B.detach()
        gathered = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(gathered, padded)
        parts = [part[:size] for part, size in zip(gathered, sizes, strict=True)]
        parts[self.ranks.rank] = values_B  # the one part that carries a gradient
        return torch.cat(parts)


class Optimiser:
    """Turns the batches of one step into one update of the weights."""

    def __init__(self, objective: Objective, optimizer: torch.optim.Optimizer) -> None:
        self.config, self.ranks = objective.config, objective.ranks
        self.optimizer = optimizer
        self.parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        self.objective: nn.Module = objective
        if self.ranks.count > 1:
            # Buffers are the item table, the same everywhere, and statistics, which are shared before each validation.
            self.objective = DistributedDataParallel(
                objective, forward_sync_buffers=False, gradient_as_bucket_view=True, find_unused_parameters=False
            )

    def step(self, batches: list[Batch], sizes: list[list[int]]) -> Tensor:
        """The loss of the global batch, left on the device: reading it would stall an accelerator."""
        self._clear_gradients()
        rows = sum(map(sum, sizes))
        total = torch.zeros((), device=self.ranks.device)
        for part, (batch, part_sizes) in enumerate(zip(batches, sizes, strict=True)):
            share = sum(part_sizes) / rows
            with self._synchronised(part == len(batches) - 1):
                with autocast(self.config, self.ranks.device):
                    loss, regularisation = self.objective(batch.to(self.ranks.device), part_sizes)
                # Ranks average their gradients: those of the rows must add up, those of the regularisation agree.
                ((loss * self.ranks.count + regularisation) * share).backward()
            total += loss.detach() * share
        clip_gradients(self.parameters, self.config.gradient_clip)
        self.optimizer.step()
        return total

    def _clear_gradients(self) -> None:
        if self.ranks.count > 1:  # they are DDP's own
            self.optimizer.zero_grad(set_to_none=True)
        else:
            for parameter in self.parameters:
                retire_gradient(parameter)

    def _synchronised(self, last: bool) -> Any:
        if last or not isinstance(self.objective, DistributedDataParallel):
            return nullcontext()
        return self.objective.no_sync()
