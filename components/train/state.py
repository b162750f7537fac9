"""The state of a training: everything that a checkpoint must hold so that training can continue from it bit for bit."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from components.train.average import Average
from components.train.config import TrainConfig
from components.train.job import load_weights, weights_of
from components.train.ranks import Ranks
from model.ranker import Ranker

PLAIN = ("epoch", "step", "total_steps", "rows", "seconds", "best_sha256", "reported", "curves")
BEFORE_THE_FIRST = -1  # the epoch of the weights that a training starts from
LOWEST_RATE = 1e-6  # the plateau schedule stops here


@dataclass
class Plateau:
    """The paper's schedule: after each epoch without a better AUC the rate falls, after `patience` of them it ends."""

    best: float = float("-inf")
    best_epoch: int = BEFORE_THE_FIRST
    stale_epochs: int = 0

    def update(self, auc: float, epoch: int) -> bool:
        """Whether this epoch is the best so far."""
        if auc > self.best:
            self.best, self.best_epoch, self.stale_epochs = auc, epoch, 0
            return True
        self.stale_epochs += 1
        return False


@dataclass
class TrainState:
    ranker: Ranker
    optimizers: list[torch.optim.Optimizer]
    loss_sum: Tensor  # of the epoch's rows so far, on the device
    average: Average | None = None
    plateau: Plateau = field(default_factory=Plateau)
    epoch: int = 0
    step: int = 0  # the next step of the epoch
    total_steps: int = 0
    rows: int = 0  # of the epoch so far
    seconds: float = 0.0  # spent training, over all restarts
    best_sha256: str = ""  # of the file with the best weights; rank 0 knows it
    reported: list[float] = field(default_factory=lambda: [0.0, 0.0])  # loss sum and rows at the last report
    curves: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {"steps": [], "epochs": []})

    @property
    def learning_rate(self) -> float:
        return float(self.optimizers[0].param_groups[0]["lr"])

    def advance(self, loss: Tensor, rows: int) -> None:
        if self.average is not None:
            self.average.update()
        self.loss_sum += loss.double() * rows
        self.rows += rows
        self.step += 1
        self.total_steps += 1

    def with_kept_weights(self) -> AbstractContextManager[None]:
        """Inside this block the ranker has the weights that the training would keep: the average, if there is one."""
        return nullcontext() if self.average is None else self.average.in_place()

    def report(self) -> dict[str, float]:
        """The mean loss since the last report. Waits for the device."""
        loss_sum, rows = float(self.loss_sum.item()), float(self.rows)
        loss = (loss_sum - self.reported[0]) / max(1.0, rows - self.reported[1])
        self.reported = [loss_sum, rows]
        return {"train_loss": loss, "learning_rate": self.learning_rate}

    def end_epoch(self, valid: dict[str, float], config: TrainConfig) -> bool:
        """Moves to the next epoch. Whether the one that ended is the best so far."""
        row = {
            "epoch": self.epoch,
            "step": self.total_steps,
            "learning_rate": self.learning_rate,
            "train_loss": float(self.loss_sum.item()) / max(1, self.rows),
        }
        self.curves["epochs"].append({**row, **{f"valid_{name}": value for name, value in valid.items()}})
        better = self.plateau.update(valid["auc"], self.epoch)
        if not better:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = max(min(LOWEST_RATE, group["lr"]), group["lr"] * config.learning_rate_decay)
        self.epoch, self.step, self.rows, self.reported = self.epoch + 1, 0, 0, [0.0, 0.0]
        self.loss_sum.zero_()
        return better

    def finished(self, config: TrainConfig) -> bool:
        return self.epoch >= config.max_epochs or self.plateau.stale_epochs >= config.patience

    def to_dict(self, ranks: Ranks) -> dict[str, Any]:
        """Collective: every rank's generator state goes in. The item table, which no step changes, stays out."""
        generators = ranks.gather_objects(_generator_state(ranks.device))
        return {
            "ranker": weights_of(self.ranker),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": None if self.average is None else self.average.to_dict(),
            "plateau": asdict(self.plateau),
            "loss_sum": self.loss_sum,
            "generators": generators,
            **{name: getattr(self, name) for name in PLAIN},
        }

    def restore(self, saved: dict[str, Any], ranks: Ranks) -> None:
        load_weights(self.ranker, saved["ranker"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        if self.average is not None:
            self.average.restore(saved["average"])
        self.plateau = Plateau(**saved["plateau"])
        self.loss_sum.copy_(saved["loss_sum"])
        for name in PLAIN:
            setattr(self, name, saved[name])
        _restore_generator(saved["generators"][ranks.rank], ranks.device)


def _generator_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore_generator(state: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
