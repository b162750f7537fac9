"""What a cluster adds to the pipeline: images by digest, resources, secrets by name, limits in time.

An environment is one YAML file under `infra/environments/`, read into these frozen types: nothing is merged or
inherited, so that the file says all there is.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from components.errors import StepError
from components.settings import from_dict
from model.checks import at_least, one_of
from pipelines.access import Certificates, Git, check_name

FOLDER = Path("infra/environments")
UNBUILT = "0" * 64  # the digest in the committed files, until images are built

_DIGEST = re.compile(r"^(?P<name>[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*)@sha256:(?P<digest>[0-9a-f]{64})$")
_QUANTITY = re.compile(r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
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
        check_name("secrets.secret", self.secret, "secret")


@dataclass(frozen=True)
class Volume:
    """A claim that outlives the runs: the workspace with its caches and checkpoints."""

    claim: str
    path: str

    def __post_init__(self) -> None:
        check_name("volumes.claim", self.claim, "PersistentVolumeClaim")
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
    """Waits between the tries of a step: `seconds`, times `factor` after each."""

    seconds: int = 60
    factor: int = 2  # Argo reads whole numbers only

    def __post_init__(self) -> None:
        at_least("backoff.seconds", self.seconds, 1)
        at_least("backoff.factor", self.factor, 1)

    def total(self, retries: int) -> int:
        """Seconds spent waiting when every try fails."""
        return sum(self.seconds * self.factor**retry for retry in range(retries))


Mode = Literal["multi-user", "single-user"]


@dataclass(frozen=True)
class Service:
    """Where the runs go.

    A multi-user installation of Kubeflow Pipelines runs them in `namespace`, which a Profile makes. A single-user one
    ignores the namespace of a request and runs everything in its own.
    """

    host: str  # of the Kubeflow Pipelines API
    mode: Mode
    namespace: str
    service_account: str
    experiment: str
    system_namespace: str = "kubeflow"  # where Kubeflow Pipelines itself runs
    public_url: str = ""  # of its pages, for links that people open; empty: the host
    request_seconds: int = 30  # how long one request may take before it counts as lost

    def __post_init__(self) -> None:
        for field in ("host", "public_url"):
            value = getattr(self, field)
            if not value.startswith(("http://", "https://")) and (value or field == "host"):
                raise ValueError(f"service.{field} = {value!r}: must begin with http:// or https://")
        one_of("service.mode", self.mode, get_args(Mode))
        for field in ("namespace", "system_namespace"):
            check_name(f"service.{field}", getattr(self, field), "namespace")
        check_name("service.service_account", self.service_account, "service account")
        at_least("service.request_seconds", self.request_seconds, 1)
        if self.mode == "single-user" and self.namespace != self.system_namespace:
            raise ValueError(
                f"service.namespace = {self.namespace!r}: a single-user installation runs everything in its own "
                f"namespace, so it must be service.system_namespace = {self.system_namespace!r}"
            )


@dataclass(frozen=True)
class DataSource:
    """The parameters of the pipeline that are a matter of the place, not of the experiment."""

    repository: str
    revision: str
    workspace: str


@dataclass(frozen=True)
class Environment:
    name: str
    service: Service
    images: Images
    source: DataSource
    resources: tuple[StepResources, ...]
    training: Literal["step", "trainjob"] = (
        "step"  # where `train` computes: in its own pod, or in a TrainJob that waits
    )
    run_timeout_hours: int = 24
    keep_days: int = 14  # of a finished run's pods and logs; its artifacts and records stay
    backoff: Backoff = Backoff()
    user_id: int = 10001  # the one that the image is built for
    scratch_size: str = "16Gi"  # of the writable folder that TMPDIR names
    shared_memory_size: str = "8Gi"  # of /dev/shm in the steps that have a GPU; it counts as memory of the step
    image_pull_secrets: tuple[str, ...] = ()
    git: Git | None = None
    certificates: Certificates | None = None
    variables: tuple[Variable, ...] = ()
    secrets: tuple[SecretVariable, ...] = ()
    volumes: tuple[Volume, ...] = ()

    def __post_init__(self) -> None:
        at_least("run_timeout_hours", self.run_timeout_hours, 1)
        at_least("keep_days", self.keep_days, 1)
        at_least("user_id", self.user_id, 1)
        for field in ("scratch_size", "shared_memory_size"):
            _match(field, getattr(self, field), _QUANTITY, "a Kubernetes quantity such as 16Gi")
        for secret in self.image_pull_secrets:
            check_name("image_pull_secrets", secret, "secret")
        named = [step for group in self.resources for step in group.steps]
        one_of("training", self.training, ("step", "trainjob"))
        if self.training == "trainjob" and any(group.gpus for group in self.resources if "train" in group.steps):
            raise ValueError(
                "resources.gpus of the step 'train': must be 0 with training: trainjob, or the step would hold GPUs "
                "while its TrainJob waits for them"
            )
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
