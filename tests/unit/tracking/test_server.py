"""How MLflow's errors are shown, and which of them callers can tell apart."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.errors import StepError
from components.tracking.models import Models
from components.tracking.server import ConflictError, NotThereError, RegistryRefusedError, Server, connect


class Failing:
    """A client whose every call fails as told, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, method: str) -> Any:
        def call(*args: Any, **_: Any) -> str:
            self.calls.append((method, args))
            if self.errors:
                raise self.errors.pop(0)
            return "answered"

        return call


def refused(code: str, text: str = "said the server\nand more") -> Exception:
    from mlflow.exceptions import RestException

    error: Exception = RestException({"error_code": code, "message": text})
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(("RESOURCE_DOES_NOT_EXIST",), NotThereError, "said the server", id="not there"),
        pytest.param(("PERMISSION_DENIED",), RegistryRefusedError, "ask for the permission", id="refused"),
        pytest.param(("INVALID_PARAMETER_VALUE",), StepError, "did not accept 'log batch'", id="not accepted"),
        pytest.param(("BAD_REQUEST", "x UniqueViolation x"), ConflictError, "at the same moment", id="conflict"),
        pytest.param(("INTERNAL_ERROR",), StepError, "run the same command once more", id="server's fault"),
        pytest.param(
            ("INTERNAL_ERROR", "These failed:\n## file ##\n[Errno 13] Permission denied"),
            StepError,
            "Permission denied",
            id="causes",
        ),
        pytest.param(("TEMPORARILY_UNAVAILABLE",), StepError, "failed at 'log batch', after retries", id="busy"),
    ],
)
def test_an_answer_becomes_one_line(error: tuple[str, ...], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as raised:
        Server("http://mlflow:5000", Failing(refused(*error))).call("log_batch")
    assert "\n" not in str(raised.value)


def test_a_lost_connection_is_the_servers_fault_and_a_slip_is_ours() -> None:
    with pytest.raises(StepError, match="is MLFLOW_TRACKING_URI right"):
        Server("http://mlflow:5000", Failing(ConnectionResetError("peer"))).call("get_run")
    with pytest.raises(TypeError, match="ours"):
        Server("http://mlflow:5000", Failing(TypeError("ours"))).call("get_run")


@pytest.mark.parametrize(
    "text",
    [
        "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT]",
        "(raised as a result of Query-invoked autoflush)\n(sqlite3.OperationalError) database or disk is full\n[SQL]",
        "These failed:\n## model ##\n[Errno 28] No space left on device: '/artifacts/model'\n",
    ],
)
def test_a_full_disk_is_named_as_such_and_the_remedy_is_space(text: str) -> None:
    with pytest.raises(StepError, match=r"a disk was full at 'log batch' \(.*(disk is full|No space left).*Free space"):
        Server("sqlite:///mlflow.db", Failing(refused("TEMPORARILY_UNAVAILABLE", text))).call("log_batch")


def test_a_row_written_twice_at_once_is_written_again() -> None:
    client = Failing(refused("BAD_REQUEST", "UNIQUE constraint failed: model_version_tags"))
    Models(Server("http://mlflow:5000", client), "mmctr").set_tag(1, "key", "value")
    assert client.calls == [("set_model_version_tag", ("mmctr", "1", "key", "value"))] * 2


def test_patience_may_be_set_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    import os

    connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "120"


def test_two_processes_that_open_a_new_registry_at_once_both_find_it(tmp_path: Path) -> None:
    program = f"from components.tracking.server import connect; connect('sqlite:///{tmp_path}/mlflow.db')"
    three = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate(timeout=300)[1] for process in three]
    assert [process.returncode for process in three] == [0, 0, 0], errors
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
