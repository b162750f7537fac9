"""What `mmctr predict` is asked for. Reading it loads nothing heavy, so that a wrong word is refused at once."""

from dataclasses import dataclass
from typing import Literal, get_args

from components.dataset.layout import SPLITS
from model.checks import at_least, one_of

Format = Literal["parquet", "csv", "challenge"]


@dataclass(frozen=True)
class PredictConfig:
    split: str = "test"
    alias: str = "champion"
    format: Format = "parquet"
    batch_size: int = 4096  # as evaluate's, for scores that are equal to the last bit
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        one_of("--split", self.split, SPLITS)
        one_of("--format", self.format, get_args(Format))
        at_least("--batch-size", self.batch_size, 1)
