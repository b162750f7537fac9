"""A schedule as it stands in a file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.errors import StepError
from components.run_config import RunConfig
from components.settings import from_dict
from model.checks import at_least, between, one_of
from pipelines.presets import PRESETS, resolve
from pipelines.schedule.cron import Cron

_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$")


@dataclass(frozen=True)
class ScheduleSpec:
    """When a run starts, and which. A schedule that names a branch reads its newest commit at each start."""

    name: str  # lower-case letters, digits and dashes
    environment: str  # cluster that runs it, a file under infra/environments/
    cron: str  # six fields, seconds first, in UTC
    preset: str  # preset that the run starts from
    overrides: tuple[str, ...] = ()  # changes of the preset, such as train.batch_size=4096
    revision: str | None = None  # branch, tag or commit of the data; none: the environment's
    skip_unchanged: bool = True  # do not train if data, config and code are those of the champion
    retrain_above_drift: float = 0.0  # if above 0: train only if the PSI exceeds it or another drift warns
    concurrency: int = 1  # runs of this schedule at the same time, 10 at most
    catch_up: bool = False  # after a pause, run once for every time that was missed instead of once

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"name = {self.name!r}: must be lower-case letters, digits and dashes, 50 at most")
        Cron(self.cron)
        one_of("preset", self.preset, tuple(PRESETS))
        between("concurrency", self.concurrency, 1, 10)  # the server's own limits
        at_least("retrain_above_drift", self.retrain_above_drift, 0.0)
        if self.catch_up and self.revision is None and self.skip_unchanged:
            raise ValueError(
                "catch_up = True: every missed run would read the same newest data and skip; pin a revision"
            )
        self.config()

    def config(self) -> RunConfig:
        return resolve(self.preset, list(self.overrides))

    def clock(self) -> Cron:
        return Cron(self.cron)


def load_schedules(paths: list[Path]) -> list[ScheduleSpec]:
    """Reads files, one schedule each; two of one name are refused."""
    specs: dict[str, tuple[Path, ScheduleSpec]] = {}
    for path in paths:
        spec = _load(path)
        if spec.name in specs:
            raise StepError(f"{path}: the name {spec.name!r} is taken by {specs[spec.name][0]}")
        specs[spec.name] = (path, spec)
    return [spec for _, spec in specs.values()]


def _load(path: Path) -> ScheduleSpec:
    try:
        values: Any = yaml.safe_load(path.read_text())
        if not isinstance(values, dict):
            raise ValueError("must be a mapping of fields to values")
        return from_dict(ScheduleSpec, values)
    except OSError as error:
        raise StepError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise StepError(f"{path}: {error}") from None
