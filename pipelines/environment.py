"""What a cluster adds to the pipeline: images by digest, resources, secrets by name, limits in time.

An environment is one YAML file under `infra/environments/`, read into these frozen types: nothing is merged or
inherited, so that the file says all there is.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from components.errors import StepError
from components.settings import from_dict
from model.checks import at_least

FOLDER = Path("infra/environments")
UNBUILT = "0" * 64  # the digest in the committed files, until images are built

_DIGEST = re.compile(r"^(?P<name>[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*)@sha256:(?P<digest>[0-9a-f]{64})$")
_QUANTITY = re.compile(r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_SECRET_LOOKING = re.compile(r"(PASSWORD|SECRET|TOKEN|ACCESS_KEY|PRIVATE|CREDENTIAL)", re.IGNORECASE)
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _match(field: str, value: str, pattern: re.Pattern[str], allowed: str) -> None:
    if not pattern.match(value):
        raise ValueError(f"{field} = {value!r}: must be {allowed}")


@dataclass(frozen=True)
class Images:
    cpu: str
    gpu: str

    def __post_init__(self) -> None:
        for kind in ("cpu", "gpu"):
            _match(
                f"images.{kind}",
                getattr(self, kind),
                _DIGEST,
                "name@sha256:<64 hex digits>: a tag may name another image tomorrow; `make images` prints the digests",
            )

    def unbuilt(self) -> list[str]:
        return [kind for kind in ("cpu", "gpu") if getattr(self, kind).endswith(UNBUILT)]


@dataclass(frozen=True)
class Variable:
    """A plain environment variable of every step."""

    name: str
    value: str

    def __post_init__(self) -> None:
        _match("variables.name", self.name, _VARIABLE, "an environment variable's name")
        if _SECRET_LOOKING.search(self.name):
            raise ValueError(f"variables.name = {self.name!r}: looks like a secret; name it under `secrets`")


@dataclass(frozen=True)
class SecretVariable:
    """An environment variable that Kubernetes fills from a key of a secret: the value is never seen here."""

    variable: str
    secret: str
    key: str
    optional: bool = False

    def __post_init__(self) -> None:
        _match("secrets.variable", self.variable, _VARIABLE, "an environment variable's name")
        _match("secrets.secret", self.secret, _NAME, "the name of a Kubernetes secret")


@dataclass(frozen=True)
class Volume:
    """A claim that outlives the runs: the workspace with its caches and checkpoints."""

    claim: str
    path: str

    def __post_init__(self) -> None:
        _match("volumes.claim", self.claim, _NAME, "the name of a PersistentVolumeClaim")
        if not self.path.startswith("/"):
            raise ValueError(f"volumes.path = {self.path!r}: must be absolute")


@dataclass(frozen=True)
class Label:
    key: str
    value: str


@dataclass(frozen=True)
class Toleration:
    key: str
    effect: str
    value: str | None = None  # none: whatever the taint's value is

    def __post_init__(self) -> None:
        if self.effect not in _EFFECTS:
            raise ValueError(f"tolerations.effect = {self.effect!r}: must be one of {', '.join(_EFFECTS)}")


@dataclass(frozen=True)
class StepResources:
    """What the named steps may use. Requests equal limits: a step that is never throttled nor evicted first."""

    steps: tuple[str, ...]
    cpu: str
    memory: str
    timeout_minutes: int
    gpus: int = 0
    accelerator: str = "nvidia.com/gpu"
    retries: int = 2
    node_selector: tuple[Label, ...] = ()
    tolerations: tuple[Toleration, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("resources.steps = []: must name at least one step of the pipeline")
        _match("resources.cpu", self.cpu, _QUANTITY, "a Kubernetes quantity such as 500m or 4")
        _match("resources.memory", self.memory, _QUANTITY, "a Kubernetes quantity such as 8Gi")
        at_least("resources.timeout_minutes", self.timeout_minutes, 1)
        at_least("resources.gpus", self.gpus, 0)
        at_least("resources.retries", self.retries, 0)


@dataclass(frozen=True)
class Backoff:
    """Waits between the tries of a step: `seconds`, times `factor` each time, never above `max_seconds`."""

    seconds: int = 60
    factor: float = 2.0
    max_seconds: int = 1800

    def __post_init__(self) -> None:
        at_least("backoff.seconds", self.seconds, 1)
        at_least("backoff.factor", self.factor, 1)
        at_least("backoff.max_seconds", self.max_seconds, self.seconds)


@dataclass(frozen=True)
class Service:
    """Where the runs go."""

    host: str  # of the Kubeflow Pipelines API
    namespace: str
    service_account: str
    experiment: str
    request_seconds: int = 30  # how long one request may take before it counts as lost

    def __post_init__(self) -> None:
        if not self.host.startswith(("http://", "https://")):
            raise ValueError(f"service.host = {self.host!r}: must begin with http:// or https://")
        _match("service.namespace", self.namespace, _NAME, "the name of a Kubernetes namespace")
        _match("service.service_account", self.service_account, _NAME, "the name of a service account")
        at_least("service.request_seconds", self.request_seconds, 1)


@dataclass(frozen=True)
class Source:
    """The parameters of the pipeline that are a matter of the place, not of the experiment."""

    repository: str
    revision: str
    workspace: str


@dataclass(frozen=True)
class Environment:
    name: str
    service: Service
    images: Images
    source: Source
    resources: tuple[StepResources, ...]
    run_timeout_hours: int = 24
    keep_days: int = 14  # of a finished run's pods; its artifacts and records stay
    backoff: Backoff = Backoff()
    user_id: int = 10001  # the one that the image is built for
    scratch_size: str = "16Gi"  # of the writable folder that TMPDIR names
    variables: tuple[Variable, ...] = ()
    secrets: tuple[SecretVariable, ...] = ()
    volumes: tuple[Volume, ...] = ()

    def __post_init__(self) -> None:
        at_least("run_timeout_hours", self.run_timeout_hours, 1)
        at_least("keep_days", self.keep_days, 1)
        at_least("user_id", self.user_id, 1)
        _match("scratch_size", self.scratch_size, _QUANTITY, "a Kubernetes quantity such as 16Gi")
        named = [step for group in self.resources for step in group.steps]
        twice = sorted({step for step in named if named.count(step) > 1})
        if twice:
            raise ValueError(f"resources: the step {twice[0]!r} stands in two groups; name it once")

    def resources_of(self, step: str) -> StepResources:
        for group in self.resources:
            if step in group.steps:
                return group
        raise ValueError(f"resources: the step {step!r} of the pipeline is not named in environment {self.name!r}")


def load_environment(name: str, folder: Path = FOLDER, images: Path | None = None) -> Environment:
    """Reads `folder/name.yaml`, or the file `name`; `images` is the JSON that `make images` writes."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise StepError(f"no environment {name!r}: {path} is missing; environments in {folder}: {there}")
    try:
        environment = from_dict(Environment, _read_mapping(path))
        if images is not None:
            environment = replace(environment, images=from_dict(Images, _read_mapping(images), "images."))
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise StepError(f"{path}: {error}") from None
    return environment


def _read_mapping(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise StepError(f"{path} is missing: `make images` writes it")
    text = path.read_text()
    values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    if not isinstance(values, dict):
        raise ValueError("must be a mapping of fields to values")
    return values
