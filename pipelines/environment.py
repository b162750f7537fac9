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
    """The images that the steps run in."""

    cpu: str  # of most steps, by digest
    gpu: str  # of the steps that can use a GPU: encode-shard, train and evaluate

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

    name: str  # must not look like that of a secret
    value: str  # the same for every step

    def __post_init__(self) -> None:
        _match("variables.name", self.name, _VARIABLE, "an environment variable's name")
        if _SECRET_LOOKING.search(self.name):
            raise ValueError(f"variables.name = {self.name!r}: looks like a secret; name it under `secrets`")


@dataclass(frozen=True)
class SecretVariable:
    """An environment variable that Kubernetes fills from a key of a secret: the value is never seen here."""

    variable: str  # name that the steps see
    secret: str  # name of the Kubernetes secret
    key: str  # key in the secret that holds the value
    optional: bool = False  # whether steps start if the secret is missing

    def __post_init__(self) -> None:
        _match("secrets.variable", self.variable, _VARIABLE, "an environment variable's name")
        check_name("secrets.secret", self.secret, "secret")


@dataclass(frozen=True)
class Volume:
    """A claim that outlives the runs: the workspace with its caches and checkpoints."""

    claim: str  # name of the PersistentVolumeClaim
    path: str  # absolute path at which every step sees it

    def __post_init__(self) -> None:
        check_name("volumes.claim", self.claim, "PersistentVolumeClaim")
        if not self.path.startswith("/"):
            raise ValueError(f"volumes.path = {self.path!r}: must be absolute")


@dataclass(frozen=True)
class Label:
    """A label that a node must have."""

    key: str  # of the node's label
    value: str  # of the node's label


@dataclass(frozen=True)
class Toleration:
    """A taint of nodes on which the steps may run all the same."""

    key: str  # of the taint
    effect: str  # NoSchedule, PreferNoSchedule or NoExecute
    value: str | None = None  # of the taint; none: any value

    def __post_init__(self) -> None:
        if self.effect not in _EFFECTS:
            raise ValueError(f"tolerations.effect = {self.effect!r}: must be one of {', '.join(_EFFECTS)}")


@dataclass(frozen=True)
class StepResources:
    """What each of the named steps may use. Kubernetes reserves all of it, so that a step is not evicted first; of the
    processor it reserves less if `cpu_request` says so.
    """

    steps: tuple[str, ...]  # names of steps of the pipeline; each step is in exactly one group
    cpu: str  # cores, as a Kubernetes quantity: 500m or 4
    memory: str  # as a Kubernetes quantity: 8Gi
    timeout_minutes: int  # a try that takes longer is ended
    cpu_request: str = ""  # cores that Kubernetes reserves; empty: as many as `cpu`. For small clusters
    gpus: int = 0  # GPUs that the step needs
    accelerator: str = "nvidia.com/gpu"  # Kubernetes resource name of the GPU
    retries: int = 2  # further tries after the first
    node_selector: tuple[Label, ...] = ()  # labels that the node must have
    tolerations: tuple[Toleration, ...] = ()  # taints that the node may have

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("resources.steps = []: must name at least one step of the pipeline")
        _match("resources.cpu", self.cpu, _QUANTITY, "a Kubernetes quantity such as 500m or 4")
        if self.cpu_request:
            _match("resources.cpu_request", self.cpu_request, _QUANTITY, "a Kubernetes quantity such as 100m")
        _match("resources.memory", self.memory, _QUANTITY, "a Kubernetes quantity such as 8Gi")
        at_least("resources.timeout_minutes", self.timeout_minutes, 1)
        at_least("resources.gpus", self.gpus, 0)
        at_least("resources.retries", self.retries, 0)


@dataclass(frozen=True)
class Backoff:
    """Waits between the tries of a step: `seconds`, times `factor` after each."""

    seconds: int = 60  # wait before the second try
    factor: int = 2  # each further wait is longer by this factor; Argo reads whole numbers only

    def __post_init__(self) -> None:
        at_least("backoff.seconds", self.seconds, 1)
        at_least("backoff.factor", self.factor, 1)

    def total(self, retries: int) -> int:
        """Seconds spent waiting when every try fails."""
        return sum(self.seconds * self.factor**retry for retry in range(retries))


Mode = Literal["multi-user", "single-user"]
Training = Literal["step", "trainjob"]


@dataclass(frozen=True)
class Service:
    """Where the runs go.

    A multi-user installation of Kubeflow Pipelines runs them in `namespace`, which a Profile makes. A single-user one
    ignores the namespace of a request and runs everything in its own.
    """

    host: str  # address of the Kubeflow Pipelines API
    mode: Mode  # which kind of installation it is
    namespace: str  # where the runs go
    service_account: str  # Kubernetes account that the steps run as
    experiment: str  # Kubeflow experiment that the runs belong to
    system_namespace: str = "kubeflow"  # namespace of Kubeflow Pipelines itself
    public_url: str = ""  # address of its pages in links that people open; empty: the host
    request_seconds: int = 30  # a request to the API that takes longer counts as lost

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
    """Where the data and the workspace are on this cluster."""

    repository: str  # git address of the repository whose data.dvc names the data
    revision: str  # branch, tag or commit that is read unless a run names another
    workspace: str  # folder on a volume with the caches and checkpoints


@dataclass(frozen=True)
class Environment:
    """One cluster. The file holds all of these that have no default; nothing is inherited from another file."""

    name: str  # as in `--env NAME`
    service: Service  # the Kubeflow installation
    images: Images  # container images
    source: DataSource  # repository and workspace
    resources: tuple[StepResources, ...]  # what each step may use
    training: Training = "step"  # `train` computes in its own pod, or in a TrainJob that it starts and follows
    run_timeout_hours: int = 24  # a run that takes longer is ended
    keep_days: int = 14  # days after which a finished run's pods and logs are removed; artifacts and records stay
    backoff: Backoff = Backoff()  # waits between the tries of a step
    user_id: int = 10001  # user that the steps run as; the image is built for this one
    scratch_size: str = "16Gi"  # size of the temporary folder of a step (TMPDIR)
    shared_memory_size: str = "8Gi"  # size of /dev/shm in steps with a GPU; it counts as memory of the step
    image_pull_secrets: tuple[str, ...] = ()  # secrets with which Kubernetes pulls the images
    git: Git | None = None  # secret for a private git server
    certificates: Certificates | None = None  # certificates of a private authority
    variables: tuple[Variable, ...] = ()  # plain environment variables of every step
    secrets: tuple[SecretVariable, ...] = ()  # environment variables that are filled from secrets
    volumes: tuple[Volume, ...] = ()  # volumes that every step sees

    def __post_init__(self) -> None:
        at_least("run_timeout_hours", self.run_timeout_hours, 1)
        at_least("keep_days", self.keep_days, 1)
        at_least("user_id", self.user_id, 1)
        for field in ("scratch_size", "shared_memory_size"):
            _match(field, getattr(self, field), _QUANTITY, "a Kubernetes quantity such as 16Gi")
        for secret in self.image_pull_secrets:
            check_name("image_pull_secrets", secret, "secret")
        named = [step for group in self.resources for step in group.steps]
        one_of("training", self.training, get_args(Training))
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
