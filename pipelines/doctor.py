"""Is everything there that a run needs? Each finding says what was found, and what to do when it is not enough.

Without an environment: this machine, and the servers that its variables name. With one: the cluster too.
"""

import base64
import configparser
import email.utils
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.errors import StepError
from pipelines.environment import Environment

Level = Literal["ok", "warning", "error"]
GIB = 2**30
_PYTHON = (3, 11)
_DISK_LOW, _DISK_TOO_LOW = 20 * GIB, 5 * GIB
_SKEW, _SKEW_TOO_MUCH = 30.0, 240.0  # seconds; S3 refuses signatures that are 15 minutes off
_PATIENCE = 5.0  # seconds that a server gets to answer


@dataclass(frozen=True)
class Finding:
    subject: str
    level: Level
    found: str
    remedy: str = ""


def examine(environment: Environment | None, folder: Path, variables: Mapping[str, str]) -> list[Finding]:
    """All findings; a check that fails in an unforeseen way is a finding as well, never the end of the others."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", lambda: python(sys.version_info[:2])),
        ("disk", lambda: disk(shutil.disk_usage(folder).free, folder)),
        ("GPU", gpu),
        ("data", lambda: storage(default_remote(folder))),
        ("credentials", lambda: credentials(default_remote(folder), variables)),
        ("MLflow", lambda: mlflow(variables)),
        ("clock", lambda: clock(variables)),
    ]
    if environment is not None:
        checks += [
            ("images", lambda: images(environment)),
            ("Pipelines", lambda: pipelines(environment)),
            ("Trainer", lambda: trainer(environment)),
        ]
    return [_guarded(subject, check) for subject, check in checks]


def _guarded(subject: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 (the doctor's business is to report whatever is wrong)
        words = " ".join(str(error).split())[:200]
        return Finding(subject, "error", f"{type(error).__name__}: {words}", "report this with `mmctr doctor`'s output")


def python(version: tuple[int, ...]) -> Finding:
    found = ".".join(str(part) for part in version)
    if version < _PYTHON:
        return Finding("Python", "error", found, "install Python 3.11 and run `make PYTHON=python3.11`")
    if version > _PYTHON:
        return Finding("Python", "warning", found, "requirements.lock is made and tested for 3.11")
    return Finding("Python", "ok", found)


def disk(free: int, folder: Path) -> Finding:
    found = f"{free / GIB:.0f} GiB free at {folder.resolve()}"
    remedy = "free space, or give `--workspace` a folder on another disk; `make clean` removes local runs"
    if free < _DISK_TOO_LOW:
        return Finding("disk", "error", found, remedy)
    return Finding("disk", "warning" if free < _DISK_LOW else "ok", found, remedy if free < _DISK_LOW else "")


def gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", "ok", "none; training runs on the CPU, which is enough for the sample")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    memory = torch.cuda.get_device_properties(0).total_memory / GIB
    return Finding("GPU", "ok", f"{len(names)} x {names[0]}, {memory:.0f} GiB, CUDA {torch.version.cuda}")


def default_remote(folder: Path) -> str | None:
    """Where DVC keeps the data, from its config; what stands in .dvc/config.local wins."""
    parser = configparser.ConfigParser()
    parser.read([folder / ".dvc/config", folder / ".dvc/config.local"])
    name = parser.get("core", "remote", fallback=None)
    for section in parser.sections():
        if section.strip("'") == f'remote "{name}"':
            return parser.get(section, "url", fallback=None)
    return None


def storage(location: str | None) -> Finding:
    """Writes, reads and deletes one small blob in the data's remote, when that is S3."""
    if location is None:
        return Finding("data", "ok", "no DVC remote here; runs use the data in the folder")
    if not location.startswith("s3://"):
        return Finding("data", "ok", f"the DVC remote is {location}")
    from components.storage import open_store

    name, store = f"mmctr-doctor-{os.getpid()}", open_store(location)
    try:
        store.put(name, b"doctor")
        whole = store.get(name) == b"doctor"
        store.delete(name)
    except StepError as error:
        return Finding("data", "error", f"{location}: {error}", "check AWS_ENDPOINT_URL and the AWS_ variables")
    if not whole:
        return Finding("data", "error", f"{location} gave back other bytes than it was given", "check the S3 server")
    return Finding("data", "ok", f"{location} was written, read and cleaned")


def credentials(location: str | None, variables: Mapping[str, str]) -> Finding:
    missing = []
    has_keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= variables.keys()
    elsewhere = any(key in variables for key in ("AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"))
    elsewhere = elsewhere or (Path(variables.get("HOME", "/")) / ".aws/credentials").exists()
    if (location or "").startswith("s3://") and not has_keys and not elsewhere:
        missing.append("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE)")
    if ("MLFLOW_TRACKING_USERNAME" in variables) != ("MLFLOW_TRACKING_PASSWORD" in variables):
        missing.append("the other one of MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    if missing:
        return Finding(
            "credentials", "error", f"missing: {'; '.join(missing)}", "export them; nothing is kept in files"
        )
    return Finding("credentials", "ok", "those that the servers above and below need are there")


def mlflow(variables: Mapping[str, str]) -> Finding:
    address = variables.get("MLFLOW_TRACKING_URI", "")
    if not address.startswith("http"):
        return Finding("MLflow", "ok", f"{address or 'a local registry in .mmctr'}; no server is needed")
    status, _ = _get(f"{address}/health", variables)
    if status != 200:
        return Finding(
            "MLflow", "error", f"{address}: {_words(status)}", "start it (`make services`), or check the URI"
        )
    status, _ = _get(f"{address}/api/2.0/mlflow/experiments/search?max_results=1", variables)
    if status == 401:
        return Finding(
            "MLflow",
            "error",
            f"{address}: wrong user or password",
            "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    if status == 403:
        return Finding(
            "MLflow",
            "error",
            f"{address}: forbidden",
            "the server's --allowed-hosts lacks this host name, or the user lacks the permission",
        )
    if status != 200:
        return Finding("MLflow", "error", f"{address}: {_words(status)}", "see the server's log")
    return Finding("MLflow", "ok", f"{address} answers and knows us")


def clock(variables: Mapping[str, str]) -> Finding:
    """Against the server that signatures are checked by, or any other that can be asked."""
    for key in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
        address = variables.get(key, "")
        if address.startswith("http"):
            _, date = _get(address, variables)
            if date:
                theirs = email.utils.parsedate_to_datetime(date).timestamp()
                return skew(time.time() - theirs, address)
    return Finding("clock", "ok", "no server was there to compare with")


def skew(seconds: float, address: str) -> Finding:
    found = f"{seconds:+.0f} s against {address}"
    if abs(seconds) > _SKEW_TOO_MUCH:
        return Finding(
            "clock", "error", found, "synchronise the clock (timedatectl set-ntp true): S3 refuses signatures"
        )
    if abs(seconds) > _SKEW:
        return Finding("clock", "warning", found, "synchronise the clock: timedatectl set-ntp true")
    return Finding("clock", "ok", found)


def images(environment: Environment) -> Finding:
    unbuilt = environment.images.unbuilt()
    if unbuilt:
        return Finding(
            "images",
            "warning",
            f"no digest yet for {' and '.join(unbuilt)} in {environment.name}",
            "`make images`, push, then give `--images dist/images.json` or run infra/images/pin.py",
        )
    return Finding("images", "ok", f"{environment.images.cpu}, {environment.images.gpu}")


def pipelines(environment: Environment) -> Finding:
    from pipelines.kubeflow import Kubeflow

    service = environment.service
    try:
        kubeflow = Kubeflow(service, tries=1, wait=lambda _: None)
        kubeflow.healthy()
        kubeflow.may_list()
    except Exception as error:  # noqa: BLE001 (kfp raises many kinds; all mean that runs can't be sent)
        return Finding(
            "Pipelines",
            "error",
            " ".join(str(error).split())[:200],
            f"is {service.host} forwarded, is MMCTR_KFP_TOKEN set, may we use {service.namespace}?",
        )
    return Finding("Pipelines", "ok", f"{service.host} lets us into {service.namespace}")


def trainer(environment: Environment, api: Any = None) -> Finding:
    """The runtime is there, and we may list TrainJobs; only when steps train in a TrainJob of their own."""
    import kubernetes

    group, version, namespace = "trainer.kubeflow.org", "v1alpha1", environment.service.namespace
    try:
        if api is None:
            kubernetes.config.load_config()
            api = kubernetes.client.CustomObjectsApi()
        api.get_cluster_custom_object(group, version, "clustertrainingruntimes", "mmctr", _request_timeout=_PATIENCE)
        api.list_namespaced_custom_object(group, version, namespace, "trainjobs", _request_timeout=_PATIENCE)
    except kubernetes.config.ConfigException:
        return Finding(
            "Trainer",
            "warning",
            "no kubeconfig here, so the cluster could not be asked",
            "only train.launcher=trainjob needs it; set KUBECONFIG",
        )
    except kubernetes.client.ApiException as error:
        remedies = {
            404: f"kubectl apply -k infra/k8s/overlays/{environment.name}, and install Kubeflow Trainer",
            403: "bind the role mmctr-trainer (infra/k8s/base/accounts.yaml)",
        }
        return Finding(
            "Trainer",
            "error",
            f"HTTP {error.status} {error.reason}",
            remedies.get(error.status, "check KUBECONFIG and the cluster"),
        )
    return Finding("Trainer", "ok", f"runtime mmctr is there, TrainJobs of {namespace} can be read")


def _get(url: str, variables: Mapping[str, str]) -> tuple[int, str]:
    """The status, 0 when nobody answers, and the server's idea of the time."""
    headers = {}
    if "MLFLOW_TRACKING_PASSWORD" in variables and "MLFLOW_TRACKING_USERNAME" in variables:
        pair = f"{variables['MLFLOW_TRACKING_USERNAME']}:{variables['MLFLOW_TRACKING_PASSWORD']}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            return answer.status, answer.headers.get("Date", "")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Date", "")
    except (OSError, ValueError):
        return 0, ""


def _words(status: int) -> str:
    return f"HTTP {status}" if status else "no answer"
