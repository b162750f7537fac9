"""The settings of a training. Those of the model itself are in `model.config`."""

from dataclasses import dataclass
from typing import Literal, get_args

from model.checks import at_least, between, one_of
from model.config import ModelConfig

Launcher = Literal["inline", "torchrun", "trainjob"]
Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
IdOptimizer = Literal["adam", "rowwise"]
Calibration = Literal["auto", "none", "platt", "isotonic"]
Start = Literal["scratch", "champion"]


@dataclass(frozen=True)
class TrainConfig:
    """The defaults are the paper's: Adam with learning rate 5e-4, batches of 128, patience 5, gradient clip 10, and a
    tenth of the learning rate after each epoch without a gain."""

    seed: int = 1  # decides the first weights, the order of the rows and dropout
    batch_size: int = 128  # rows of one optimizer step, over all processes and parts together
    accumulate: int = 1  # parts in which each process computes its share of a batch; more parts need less memory
    learning_rate: float = 5e-4  # of the first epoch
    weight_decay: float = 0.0  # of AdamW; with `rowwise`, the id and tag rows that a step does not use do not shrink
    id_optimizer: IdOptimizer = "adam"  # of the id and tag tables; `rowwise` keeps 4 bytes a row, Adam 8 bytes a weight
    id_min_count: int = 0  # an item that fewer train rows show has no id embedding, only features and content
    id_max_age_days: float = 0.0  # nor has one whose last row is older than this, before the newest; 0: no limit
    gradient_clip: float = 10.0  # a gradient with a larger norm is scaled down to it
    max_epochs: int = 100  # passes over the training rows at most
    patience: int = 5  # training stops after this many epochs without a better valid AUC
    average_decay: float = 0.0  # of a moving average of the weights, which is what validation scores and keeps; 0: none
    calibration: Calibration = "auto"  # of scores, fitted on valid; `auto` takes what predicts other users' rows best
    negatives_kept: float = 1.0  # share of the non-clicks that the data kept; scores are corrected for it
    learning_rate_decay: float = 0.1  # the rate is multiplied by this after each epoch without a better valid AUC

    # Beyond binary cross-entropy
    pairwise_weight: float = 0.0  # weight of the pairwise loss within a batch; binary cross-entropy has the rest
    embedding_l2: float = 0.0  # L2 penalty on the embeddings that a step uses, each counted once
    align_weight: float = 0.0  # weight of the contrastive loss, if model.content holds `align`
    distil_weight: float = 0.0  # weight of the relational distillation, if model.content holds `distil`

    # Where it starts
    start: Start = "scratch"  # `champion` continues from the champion's weights, on the rows that are newer than it
    replay_share: float = 0.5  # share of older rows, drawn by chance, among the rows of a start from the champion
    pull_to_champion: float = 0.0  # how strongly each step pulls the weights back to those of the champion
    cold_above_drift: float = 0.0  # if above 0: starts from scratch where a PSI against the champion's data exceeds it
    cold_after_refusals: int = 1  # starts from scratch once the gate refused so many that began at this champion; 0: no
    max_chain: int = 30  # after this many starts from a champion in a row, a training starts from scratch again

    # Where and how
    launcher: Launcher = "inline"  # start the processes here, with torchrun, or as a TrainJob on the cluster
    processes: int = 1  # per machine
    nodes: int = 1  # machines (pods) of a TrainJob
    runtime: str = "mmctr"  # ClusterTrainingRuntime that a TrainJob uses
    queue: str = "mmctr-training"  # Kueue LocalQueue that a TrainJob waits in; empty: no queue
    device: Device = "auto"  # `auto` takes a CUDA device if there is one
    precision: Precision = "float32"  # of the matrix products; the weights stay float32
    checkpoint_minutes: float = 10.0  # time between two checkpoints
    checkpoint_steps: int = 0  # steps between two checkpoints; 0: only checkpoint_minutes counts
    silence_minutes: float = 15.0  # how long a process waits for the others before it takes them for dead
    restarts: int = 3  # how often a training that lost a process starts again from its last checkpoint

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
            "pull_to_champion",
            "cold_above_drift",
            "cold_after_refusals",
            "max_chain",
            "checkpoint_minutes",
            "checkpoint_steps",
            "restarts",
            "seed",
            "id_min_count",
            "id_max_age_days",
        ):
            at_least(f"train.{field}", getattr(self, field), 0)
        at_least("train.silence_minutes", self.silence_minutes, 0.1)
        between("train.learning_rate_decay", self.learning_rate_decay, 0.0, 1.0)
        between("train.average_decay", self.average_decay, 0.0, 0.9999)
        between("train.replay_share", self.replay_share, 0.0, 0.99)
        between("train.pairwise_weight", self.pairwise_weight, 0.0, 1.0)
        if self.pairwise_weight and self.accumulate > 1:
            raise ValueError(
                f"train.pairwise_weight = {self.pairwise_weight} with train.accumulate = {self.accumulate}: pairs are "
                "formed over a whole batch, which accumulation cuts into parts; set one to 0 or the other to 1"
            )
        one_of("train.start", self.start, get_args(Start))
        one_of("train.launcher", self.launcher, get_args(Launcher))
        one_of("train.precision", self.precision, get_args(Precision))
        one_of("train.id_optimizer", self.id_optimizer, get_args(IdOptimizer))
        one_of("train.calibration", self.calibration, get_args(Calibration))
        between("train.negatives_kept", self.negatives_kept, 1e-6, 1.0)
        one_of("train.device", self.device, get_args(Device))


@dataclass(frozen=True)
class Recipe:
    """All settings of a training: the preset's name, the model's settings and its own."""

    preset: str  # name of the preset
    model: ModelConfig  # settings of the ranker
    train: TrainConfig  # settings of the training
