"""What `mmctr serve` is told of a challenger and of the request log, and the parts that are made of it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from components.predict.engines import EngineName
from components.request_log.choice import SALT, checked_salt
from components.request_log.writer import LogConfig, RequestLog
from components.serve.follow import Follower
from components.serve.limits import Queue
from components.serve.shadow import Shadow
from components.serve.trial import Trial, checked
from components.storage.objects import open_store
from components.tracking.models import Models
from model.checks import between


@dataclass(frozen=True)
class TrialConfig:
    challenger: str = "challenger"  # an alias, or a version's number
    canary: float = 0.0  # share of the users whom the challenger answers
    shadow: float = 0.0  # share of the users whose requests it scores too, after they were answered
    log: str | None = None  # a folder or s3://bucket/prefix
    files: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        between("--canary", self.canary, 0.0, 1.0)
        between("--shadow", self.shadow, 0.0, 1.0)
        if self.canary and self.shadow:
            raise ValueError("--canary and --shadow: give one of them; a challenger answers, or scores unseen")
        if self.shadow and self.log is None:
            raise ValueError("--shadow: give --log as well; its scores go nowhere else")
        if self.shadow > self.files.rate:
            raise ValueError(f"--shadow {self.shadow}: must be at most --log-rate, {self.files.rate}")


def make_trial(
    models: Models, cache: Path, config: TrialConfig, every: float, engine: EngineName, queue: Queue
) -> Trial:
    log = None
    if config.log is not None:
        log = RequestLog(open_store(config.log), checked_salt(os.environ.get(SALT)), config.files)
    trial = Trial(canary=config.canary, log=log, patience=queue.seconds / 2)
    if config.canary or config.shadow:
        number = int(config.challenger) if config.challenger.isdigit() else None
        trial.challenger = Follower(models, config.challenger, cache, every, number, engine, optional=True)
    if config.shadow and log is not None:
        trial.shadow = Shadow(config.shadow, log, busy=lambda: queue.inside > 0, ask=checked)
    return trial
