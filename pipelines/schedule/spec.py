"""A schedule as it stands in a file."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from components.errors import StepError
from components.run_config import RunConfig
from components.settings import from_dict
from model.checks import at_least, between, one_of
from pipelines.presets import PRESETS, resolve
from pipelines.schedule.cron import Cron

_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$")


Every = Literal["never", "nightly", "weekly"]
_DAILY = re.compile(r"^\d+ \d+ \d+ \* \* \*$")
_COLD_NIGHT, _OTHER_NIGHTS = "SUN", "MON-SAT"
_COLD = ("train.start=scratch", "embed.projection=fit")
_WARM = ("train.start=champion", "embed.projection=reuse-champion")


@dataclass(frozen=True)
class Refresh:
    """Which training a night brings: from scratch, from the champion, or only after a drift.

    A night brings one training at most: from scratch where that is due, else from the champion where that is due. Where
    neither is, `on_drift` decides whether there is one. A training from the champion becomes one from scratch where the
    data drifted that far.
    """

    cold: Every = "never"  # trainings from scratch
    warm: Every = "never"  # trainings that start from the champion
    on_drift: float = (
        0.0  # PSI against the champion's training data above which a training from scratch is due; 0: none
    )

    def __post_init__(self) -> None:
        for field in ("cold", "warm"):
            one_of(f"refresh.{field}", getattr(self, field), get_args(Every))
        at_least("refresh.on_drift", self.on_drift, 0.0)
        if (self.cold, self.warm, self.on_drift) == ("never", "never", 0.0):
            raise ValueError("refresh: says no training; set cold or warm to nightly or weekly, or on_drift above 0")
        if self.cold == "nightly" and (self.warm != "never" or self.on_drift):
            raise ValueError("refresh.cold = 'nightly': leaves no night for warm or on_drift; set cold to weekly")
        if self.cold == self.warm == "weekly":
            raise ValueError("refresh.warm = 'weekly': falls on the night of cold; set warm to nightly or never")


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
    refresh: Refresh | None = None  # a policy for all nights, of which recurring runs are made; none: this one run
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
        if self.refresh is not None:
            if not _DAILY.match(self.cron):
                raise ValueError(
                    f"cron = {self.cron!r}: with refresh it says one time of each day, as '0 0 3 * * *' does"
                )
            if self.retrain_above_drift:
                raise ValueError("retrain_above_drift: with refresh, say it as refresh.on_drift")
            self.runs()
        self.config()

    def runs(self) -> "list[ScheduleSpec]":
        """The recurring runs that the file stands for."""
        if self.refresh is None:
            return [self]
        refresh, nights = self.refresh, {"nightly": "*", "weekly": _COLD_NIGHT}
        weekly = "weekly" in (refresh.cold, refresh.warm)
        found = []
        if refresh.cold != "never":
            found.append(self._run("cold", nights[refresh.cold], _COLD))
        if refresh.warm != "never":
            on = _OTHER_NIGHTS if refresh.cold == "weekly" else nights[refresh.warm]
            found.append(self._run("warm", on, (*_WARM, f"train.cold_above_drift={refresh.on_drift:g}")))
        if refresh.on_drift and "nightly" not in (refresh.cold, refresh.warm):
            on = _OTHER_NIGHTS if weekly else "*"
            found.append(replace(self._run("drift", on, _COLD), retrain_above_drift=refresh.on_drift))
        return found

    def _run(self, kind: str, weekdays: str, overrides: tuple[str, ...]) -> "ScheduleSpec":
        cron = f"{self.cron.removesuffix('*')}{weekdays}"
        name, all_overrides = f"{self.name}-{kind}", (*self.overrides, *overrides)
        return replace(self, name=name, cron=cron, overrides=all_overrides, refresh=None)

    def config(self) -> RunConfig:
        return resolve(self.preset, list(self.overrides))

    def clock(self) -> Cron:
        return Cron(self.cron)


def load_schedules(paths: list[Path]) -> list[ScheduleSpec]:
    """Reads files, and makes the recurring runs of those with a refresh policy; two of one name are refused."""
    specs: dict[str, tuple[Path, ScheduleSpec]] = {}
    for path in paths:
        for spec in _load(path).runs():
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
