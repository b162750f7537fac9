"""The config of a run: the sum of all sections, one complete, typed, frozen object.

It stands above the steps, because it names the section of each. A step takes only the sections that it reads.
"""

from dataclasses import dataclass, field

from components.embed.config import EmbedConfig
from components.evaluate.config import EvaluateConfig
from components.gate.config import GatePolicy
from components.train.config import Recipe, TrainConfig
from components.validate.config import ValidatePolicy
from model.config import ModelConfig


@dataclass(frozen=True)
class RunConfig:
    preset: str  # the preset that the config started from
    model: ModelConfig = field(default_factory=ModelConfig)  # the ranker
    train: TrainConfig = field(default_factory=TrainConfig)  # the training
    validate: ValidatePolicy = field(default_factory=ValidatePolicy)  # rules that the data must pass
    embed: EmbedConfig = field(default_factory=EmbedConfig)  # how items become vectors
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)  # how the candidate is measured
    gate: GatePolicy = field(default_factory=GatePolicy)  # what a candidate must show
    registered_name: str = "mmctr"  # name of the model in the MLflow registry
    experiment: str = "mmctr"  # MLflow experiment that the runs belong to

    def __post_init__(self) -> None:
        if self.train.start == "champion" and self.embed.projection == "fit":
            raise ValueError(
                "train.start = 'champion' with embed.projection = 'fit': a new projection gives content vectors that "
                "the champion's weights do not know; set embed.projection=reuse-champion as well"
            )

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.preset, self.model, self.train)
