"""The settings of a training. Those of the model itself are in `model.config`."""

from dataclasses import dataclass
from typing import Literal, get_args

from model.checks import at_least, between, one_of
from model.config import ModelConfig

Launcher = Literal["inline", "torchrun", "trainjob"]
Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
IdOptimizer = Literal["adam", "rowwise"]


@dataclass(frozen=True)
class TrainConfig:
    """The defaults are the paper's: Adam 5e-4, batch 128, patience 5, gradient clip 10, LR x0.1 without gain."""

    seed: int = 1  # of the first weights, the order of rows and dropout
    batch_size: int = 128  # global: over all ranks and accumulation steps
    accumulate: int = 1  # parts that a rank's share of a batch is computed in, to save memory
    learning_rate: float = 5e-4  # at the start
    weight_decay: float = 0.0  # of AdamW; row-wise tables shrink only the rows that a step touched
    id_optimizer: IdOptimizer = "adam"  # of the id and tag tables; `rowwise` keeps 4 bytes a row and skips idle rows
    gradient_clip: float = 10.0  # largest norm of the gradient
    max_epochs: int = 100  # passes over train at most
    patience: int = 5  # epochs without a better valid AUC before stopping
    learning_rate_decay: float = 0.1  # factor after each epoch without gain

    # Beyond binary cross-entropy
    pairwise_weight: float = 0.0  # share of the in-batch pairwise loss; BCE keeps the rest
    embedding_l2: float = 0.0  # on the embeddings that a batch touched, each once
    align_weight: float = 0.0  # of the contrastive loss, when model.content holds "align"
    distil_weight: float = 0.0  # of the relational distillation, when model.content holds "distil"

    # Where and how
    launcher: Launcher = "inline"  # how processes are started
    processes: int = 1  # a node
    nodes: int = 1  # pods of a TrainJob
    runtime: str = "mmctr"  # the ClusterTrainingRuntime of a TrainJob
    queue: str = "mmctr-training"  # the Kueue LocalQueue that a TrainJob waits in; empty: none
    device: Device = "auto"  # auto takes CUDA where there is one
    precision: Precision = "float32"  # of the products; weights stay float32
    compile: bool = False  # compile the interest module with torch.compile
    checkpoint_minutes: float = 10.0  # between two checkpoints
    checkpoint_steps: int = 0  # 0: by minutes alone
    restarts: int = 3  # of a job that lost a process, each from its last checkpoint

    def __post_init__(self) -> None:
        for field in ("batch_size", "accumulate", "max_epochs", "patience", "processes", "nodes"):
            at_least(f"train.{field}", getattr(self, field), 1)
        for field in (
            "learning_rate",
            "weight_decay",
            "gradient_clip",
            "embedding_l2",
            "align_weight",
            "distil_weight",
            "checkpoint_minutes",
            "checkpoint_steps",
            "restarts",
            "seed",
        ):
            at_least(f"train.{field}", getattr(self, field), 0)
        between("train.learning_rate_decay", self.learning_rate_decay, 0.0, 1.0)
        between("train.pairwise_weight", self.pairwise_weight, 0.0, 1.0)
        if self.pairwise_weight and self.accumulate > 1:
            raise ValueError(
                f"train.pairwise_weight = {self.pairwise_weight} with train.accumulate = {self.accumulate}: pairs are "
                "formed over a whole batch, which accumulation cuts into parts; set one to 0 or the other to 1"
            )
        one_of("train.launcher", self.launcher, get_args(Launcher))
        one_of("train.precision", self.precision, get_args(Precision))
        one_of("train.id_optimizer", self.id_optimizer, get_args(IdOptimizer))
        one_of("train.device", self.device, get_args(Device))


@dataclass(frozen=True)
class Recipe:
    """All settings of a training: the preset's name, the model's settings and its own."""

    preset: str
    model: ModelConfig
    train: TrainConfig
