"""The servers that this machine's variables and DVC's config name: data, MLflow, and whose clock is right."""

import base64
import configparser
import email.utils
import os
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from components.errors import StepError, redacted
from components.tracking.server import sqlite_file
from pipelines.doctor.finding import Finding

_SKEW, _SKEW_TOO_MUCH = 30.0, 240.0  # seconds; S3 refuses signatures that are 15 minutes off
_PATIENCE = 5.0  # seconds that a server gets to answer


def default_remote(folder: Path) -> str | None:
    """Where DVC keeps the data, from its config; .dvc/config.local wins, and a path is taken from .dvc, as DVC does."""
    parser = configparser.ConfigParser()
    parser.read([folder / ".dvc/config", folder / ".dvc/config.local"])
    name = parser.get("core", "remote", fallback=None)
    for section in parser.sections():
        if section.strip("'") == f'remote "{name}"':
            url = parser.get(section, "url", fallback=None)
            return url if url is None or "://" in url else str((folder / ".dvc" / url).resolve())
    return None


def storage(location: str | None) -> Finding:
    """Writes, reads and deletes one small blob in the data's remote, when that is S3; a folder must be there."""
    if location is None:
        return Finding("data", "unchecked", "no DVC remote is named in .dvc/config here")
    if "://" not in location:
        if not Path(location).is_dir():
            return Finding("data", "error", f"the DVC remote {location} is no folder", "check the url in .dvc/config")
        return Finding("data", "ok", f"the DVC remote {location} is there")
    if not location.startswith("s3://"):
        return Finding("data", "unchecked", f"the DVC remote {redacted(location)}: only S3 and folders can be checked")
    from components.storage.objects import open_store

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
    if not (location or "").startswith("s3://") and "MLFLOW_TRACKING_USERNAME" not in variables:
        return Finding("credentials", "unchecked", "no server is named that would ask for any")
    return Finding("credentials", "ok", "the variables are set; the lines of data and MLflow say whether they work")


def mlflow(variables: Mapping[str, str], workspace: Path = Path(".mmctr")) -> Finding:
    address = variables.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.resolve() / 'mlflow.db'}"
    if not address.startswith("http"):
        return _registry_file(address)
    shown = redacted(address)
    status, _ = _get(f"{address}/health", variables)
    if status != 200:
        return Finding("MLflow", "error", f"{shown}: {_words(status)}", "start it (`make services`), or check the URI")
    status, _ = _get(f"{address}/api/2.0/mlflow/experiments/search?max_results=1", variables)
    if status == 401:
        return Finding(
            "MLflow",
            "error",
            f"{shown}: wrong user or password",
            "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    if status == 403:
        return Finding(
            "MLflow",
            "error",
            f"{shown}: forbidden",
            "the server's --allowed-hosts lacks this host name, or the user lacks the permission",
        )
    if status != 200:
        return Finding("MLflow", "error", f"{shown}: {_words(status)}", "see the server's log")
    return Finding("MLflow", "ok", f"{shown} answers and knows us")


def _registry_file(address: str) -> Finding:
    """The registry of local runs: a SQLite file, in the workspace unless MLFLOW_TRACKING_URI names another."""
    file = sqlite_file(address)
    if file is None:
        remedy = "set MLFLOW_TRACKING_URI to http(s)://... or sqlite:///FILE, or unset it"
        return Finding("MLflow", "error", f"{redacted(address)} is neither a server nor a SQLite file", remedy)
    if not file.is_file():
        return Finding("MLflow", "unchecked", f"no registry yet at {file}; the first run makes it, without a server")
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            (models,) = database.execute("select count(*) from model_versions").fetchone()
    except sqlite3.Error as error:
        return Finding("MLflow", "error", f"{file}: {error}", "move the file away, or take it from a backup")
    return Finding("MLflow", "ok", f"the registry {file} can be read: {models} model versions")


def clock(variables: Mapping[str, str]) -> Finding:
    """Against the server that signatures are checked by, or any other that can be asked."""
    for key in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
        address = variables.get(key, "")
        if address.startswith("http"):
            _, date = _get(address, variables)
            if date:
                theirs = email.utils.parsedate_to_datetime(date).timestamp()
                return skew(time.time() - theirs, redacted(address))
    return Finding("clock", "unchecked", "no server is named, or none answered, to compare with")


def skew(seconds: float, address: str) -> Finding:
    found = f"{seconds:+.0f} s against {address}"
    if abs(seconds) > _SKEW_TOO_MUCH:
        return Finding(
            "clock", "error", found, "synchronise the clock (timedatectl set-ntp true): S3 refuses signatures"
        )
    if abs(seconds) > _SKEW:
        return Finding("clock", "warning", found, "synchronise the clock: timedatectl set-ntp true")
    return Finding("clock", "ok", found)


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
