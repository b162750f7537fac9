"""The loss of a global batch, and one step of the optimizers down it."""

from collections.abc import Sequence
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

    Each rank computes the same number as a single process would, and pairs are formed across ranks. The ranks'
    gradients add up to that of the global batch.
    """

    def __init__(self, ranker: Ranker, config: TrainConfig, ranks: Ranks) -> None:
        super().__init__()
        self.ranker, self.config, self.ranks = ranker, config, ranks

    def forward(self, batch: Batch, sizes: list[int], ids_U: Tensor | None) -> tuple[Tensor, Tensor]:
        """(loss, regularisation) of a batch of which rank r holds `sizes[r]` rows.

        The regularisation depends on items, not on rows. So a step has it once, over all of its distinct items, which
        come with one of its batches; the others bring None.
        """
        logits = self._everyones(score_batch(self.ranker, batch).float(), sizes)
        labels = self._everyones(batch.label_B, sizes)
        weights = None if batch.weight_B is None else self._everyones(batch.weight_B, sizes)
        loss: Tensor = losses.bce(logits, labels, weights)
        if share := self.config.pairwise_weight:
            loss = (1 - share) * loss + share * losses.pairwise(logits, labels, weight_B=weights)
        return loss, self._regularisation(ids_U) if ids_U is not None else logits.new_zeros(())

    def _regularisation(self, ids_U: Tensor) -> Tensor:
        total = torch.zeros((), device=ids_U.device)
        if self.config.embedding_l2:
            total = total + self.config.embedding_l2 * losses.touched_l2(self.ranker, ids_U)
        weights = {"align": self.config.align_weight, "distil": self.config.distil_weight}
        for name, loss in self.ranker.auxiliary_losses(ids_U).items():
            total = total + weights[name] * loss  # at weight 0 too: DDP needs a gradient for every parameter
        return total

    def distinct_items(self, batches: list[Batch]) -> Tensor:
        """The distinct items of a step's batches on all ranks, so that an item that two of them hold counts once."""
        mine = [batch.distinct_U for batch in batches]
        regularised = self.config.embedding_l2 or {"align", "distil"} & set(self.ranker.config.content)
        if self.ranks.count > 1 and regularised:
            mine = self.ranks.gather_objects(torch.cat(mine))
        if len(mine) == 1:
            return mine[0]
        ids: Tensor = torch.unique(torch.cat(mine))
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


def _average_each(ranks: int, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
    """Averages each gradient by itself, so that a training that continues from a checkpoint gives the same bits.

    DistributedDataParallel packs the gradients of the first step after a start into other buckets than those of later
    steps. The place of a number in a bucket decides in which order gloo adds the ranks' values up, and from three
    ranks on the order changes the last digits. A GPU's own additions are in no fixed order anyway.
    """
    bucket.buffer().div_(ranks)
    sums = [dist.all_reduce(gradient, async_op=True).get_future() for gradient in bucket.gradients()]
    return torch.futures.collect_all(sums).then(lambda _: bucket.buffer())


class Pull:
    """Draws the weights back to where they were when it was made, as AdamW's weight decay draws them to zero.

    It is applied to the weights and not to the loss: Adam would divide its gradient by the size of the others, and so
    pull hardest at the weights that the rows say least about.
    """

    def __init__(self, weights: Sequence[nn.Parameter], strength: float) -> None:
        self.weights: list[Tensor] = list(weights)
        self.strength = strength
        self.start = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        torch._foreach_lerp_(self.weights, self.start, min(1.0, learning_rate * self.strength))


class Optimiser:
    """Turns the batches of one step into one update of the weights."""

    def __init__(
        self, objective: Objective, optimizers: list[torch.optim.Optimizer], pull_to_start: float = 0.0
    ) -> None:
        self.config, self.ranks, self.distinct_items = objective.config, objective.ranks, objective.distinct_items
        self.optimizers = optimizers
        self.parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        self.objective: nn.Module = objective
        self.pull = Pull(self.parameters, pull_to_start) if pull_to_start else None
        if self.ranks.count > 1:
            # Buffers are the item table, the same everywhere, and statistics, which are shared before each validation.
            self.objective = DistributedDataParallel(
                objective, forward_sync_buffers=False, gradient_as_bucket_view=True, find_unused_parameters=False
            )
            if self.ranks.count > 2 and self.ranks.device.type == "cpu":
                self.objective.register_comm_hook(self.ranks.count, _average_each)

    def step(self, batches: list[Batch], sizes: list[list[int]]) -> Tensor:
        """The loss of the global batch, left on the device: reading it would stall an accelerator."""
        self._clear_gradients()
        rows = sum(map(sum, sizes))
        total = torch.zeros((), device=self.ranks.device)
        ids_U = self.distinct_items(batches).to(self.ranks.device)
        for part, (batch, part_sizes) in enumerate(zip(batches, sizes, strict=True)):
            share, last = sum(part_sizes) / rows, part == len(batches) - 1
            with self._synchronised(last):
                with autocast(self.config, self.ranks.device):
                    loss, regularisation = self.objective(
                        batch.to(self.ranks.device), part_sizes, ids_U if last else None
                    )
                # DDP averages gradients over ranks. Those of the rows have to be summed; those of the regularisation
                # are equal on all ranks.
                (loss * (self.ranks.count * share) + regularisation).backward()
            total += loss.detach() * share
        clip_gradients(self.parameters, self.config.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
        if self.pull is not None:
            self.pull.step(self.optimizers[0].param_groups[0]["lr"])
        return total

    def _clear_gradients(self) -> None:
        if self.ranks.count > 1:  # they are DDP's own
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
        else:
            for parameter in self.parameters:
                retire_gradient(parameter)

    def _synchronised(self, last: bool) -> Any:
        if last or not isinstance(self.objective, DistributedDataParallel):
            return nullcontext()
        return self.objective.no_sync()
