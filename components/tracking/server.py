"""One MLflow server: where it is, how patiently it is asked, and how its errors read."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import StepError, one_line
from components.network import refuse_dead
from components.storage.locks import alone

URI_VARIABLE = "MLFLOW_TRACKING_URI"
WORKSPACE_VARIABLE = "MMCTR_WORKSPACE"
_SQLITE = "sqlite:///"

# MLflow asks again by itself after a lost connection, a time-out, a 429 or a 5xx. Its own defaults wait four minutes,
# which looks like a hang; with these values it gives up after some 15 s (0 + 2 + 4 + 8, and jitter). Raise them to wait
# longer.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "120",  # seconds without an answer: a server that stores a gigabyte takes a while
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class NotThereError(StepError):
    """The server answered that there is no such thing."""


class ConflictError(StepError):
    """Another client wrote the same row between the server's look at it and its insert."""


class RegistryRefusedError(StepError):
    """The server knows the user and refuses the request."""


class NotAcceptedError(StepError):
    """The server answered that it can't do this as things are now."""


class AlreadyThereError(StepError):
    """The server answered that this was made before."""


def tracking_uri(workspace: Path | None = None) -> str:
    """`MLFLOW_TRACKING_URI`, or else a SQLite file in the workspace: the given one, `MMCTR_WORKSPACE`, or `.mmctr`."""
    if uri := os.environ.get(URI_VARIABLE):
        return uri
    folder = workspace or Path(os.environ.get(WORKSPACE_VARIABLE, ".mmctr"))
    return f"{_SQLITE}{folder.resolve() / 'mlflow.db'}"


def existing_registry(workspace: Path) -> str:
    """The address that `tracking_uri` gives. Refuses a SQLite file that is missing, which connecting would make."""
    uri = tracking_uri(workspace)
    file = sqlite_file(uri)
    if file and not file.is_file():
        raise StepError(
            f"no registry here: run `mmctr run` first, or give --workspace / set {URI_VARIABLE} (there is no {file})"
        )
    return uri


def sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def refuse_dead_server(uri: str, patience: float | None = None) -> None:
    refuse_dead(uri, "MLflow", f"start it, or set {URI_VARIABLE} to where it is", patience)


@dataclass(frozen=True)
class Server:
    """Every call to MLflow goes through `call`, by the name of the client's method, so that failure has one place."""

    uri: str
    client: Any  # mlflow.MlflowClient; MLflow ships no types

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(self.client, method)(*args, **kwargs)
        except Exception as error:
            raise self._explain(method.replace("_", " "), error) from error

    def artifacts_root(self, experiment: str) -> str | None:
        """Where artifacts go if no server decides: next to the SQLite file."""
        file = sqlite_file(self.uri)
        return None if file is None else str(file.parent / "mlartifacts" / experiment)

    def download(self, artifact_uri: str, out: Path) -> Path:
        """Brings one artifact, a file or a folder, under `out`."""
        from mlflow.artifacts import download_artifacts

        out.mkdir(parents=True, exist_ok=True)
        try:
            return Path(download_artifacts(artifact_uri=artifact_uri, dst_path=str(out), tracking_uri=self.uri))
        except Exception as error:
            raise self._explain(f"download {artifact_uri}", error) from error

    def _explain(self, action: str, error: Exception) -> Exception:
        from mlflow.exceptions import MlflowException

        line = _words(error)
        if isinstance(error, MlflowException):
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
                return NotThereError(line)
            if error.error_code == "RESOURCE_ALREADY_EXISTS":
                return AlreadyThereError(line)
            if any(words in str(error) for words in _DUPLICATE_ROW):
                return ConflictError(f"MLflow at {self.uri}: someone else did {action!r} at the same moment ({line})")
            status = error.get_http_status_code()
            if status in (401, 403):
                return RegistryRefusedError(
                    f"MLflow at {self.uri} refused {action!r} ({line}): ask for the permission, or set "
                    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD of someone who has it"
                )
            if status < 500:
                return NotAcceptedError(f"MLflow at {self.uri} did not accept {action!r}: {line}")
        elif not isinstance(error, OSError) and type(error).__module__.split(".")[0] not in _TRANSPORTS:
            return error  # an error in our own code keeps its traceback
        if full := _full_disk(error):
            return StepError(
                f"MLflow at {self.uri}: a disk was full at {action!r} ({full}). Free space there, then run the same "
                "command once more"
            )
        return StepError(
            f"MLflow at {self.uri} failed at {action!r}, after retries: {line}. Nothing is lost: when the server "
            f"answers again (is {URI_VARIABLE} right?), run the same command once more"
        )


def _words(error: Exception) -> str:
    """The first line of what an error says; where that only announces causes, the last of them as well."""
    first, *more = str(error).strip().splitlines() or [type(error).__name__]
    return f"{first} {more[-1]}"[-400:] if more and first.endswith(":") else first[:400]


def _full_disk(error: Exception) -> str | None:
    """The line of an error that says so, wherever it stands in it; None if there is none."""
    lines = (line for line in str(error).splitlines() if any(words in line for words in _FULL_DISK))
    return next((line.strip()[-400:] for line in lines), None)


_FULL_DISK = ("No space left on device", "database or disk is full")  # the system's words, SQLite's words
_DUPLICATE_ROW = ("UniqueViolation", "UNIQUE constraint failed")  # PostgreSQL's words, SQLite's words
_TRANSPORTS = ("botocore", "boto3", "requests", "urllib3", "sqlalchemy")


def connect(uri: str | None = None, patience: float | None = None) -> Server:
    """`patience` is how many seconds a server may take to answer for the first time, where three are too few."""
    for variable, value in _PATIENCE.items():
        os.environ.setdefault(variable, value)
    uri = uri or tracking_uri()
    refuse_dead_server(uri, patience)
    if file := sqlite_file(uri):
        file.parent.mkdir(parents=True, exist_ok=True)
    import logging

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # "Creating initial MLflow database tables..."
    with _modules_are_no_garbage(), _alone_with_a_new(file):
        import mlflow  # takes more than a second, so it is not imported with this module

        try:
            return Server(uri, mlflow.MlflowClient(uri, uri))
        except Exception as error:  # MLflow's, SQLAlchemy's, a missing driver's: all say that the address is no good
            raise StepError(
                f"{URI_VARIABLE} = {uri}: no registry can be reached by this address ({one_line(error)[:200]}); "
                "give a server's, such as http://127.0.0.1:5000, or leave it out for the workspace's own"
            ) from error


@contextmanager
def _modules_are_no_garbage() -> Iterator[None]:
    """Keeps Python's garbage collector from what the first import of MLflow and its database layer makes.

    Those are a million objects that stay until the process ends. Searching them for garbage again and again, and once
    more at the end, took a third of the time of `mmctr review list`.
    """
    if "mlflow" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@contextmanager
def _alone_with_a_new(file: Path | None) -> Iterator[None]:
    """The client makes the tables of a new SQLite file. Two processes at once would break each other's work."""
    lock = file and file.with_name(f"{file.name}.lock")
    if file and lock and (not file.is_file() or lock.exists()):
        with alone(lock):
            yield
    else:
        yield
