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
    preset: str
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    validate: ValidatePolicy = field(default_factory=ValidatePolicy)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    gate: GatePolicy = field(default_factory=GatePolicy)
    registered_name: str = "mmctr"
    experiment: str = "mmctr"

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.preset, self.model, self.train)
