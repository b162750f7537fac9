"""Every command that needs a server says at once, in one line, when it does not answer."""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import components.network
from components.errors import StepError
from components.harness import step
from components.network import refuse_dead
from components.run_config import RunConfig
from components.settings import to_dict
from components.tracking.server import connect
from pipelines.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def closed() -> Iterator[int]:
    """A port at which nothing listens; it is held, so that nothing else takes it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components.network, "PATIENCE", 0.0)


def test_a_step_waits_a_minute_for_a_server_that_is_being_restarted(
    closed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed}")
    with pytest.raises(SystemExit) as left, step("gate", "1", json.dumps(to_dict(RunConfig("sample"))), str(tmp_path)):
        pytest.fail("the step must not begin")
    assert left.value.code == 1
    assert f"gate failed: MLflow at http://127.0.0.1:{closed} does not answer" in caplog.text
    assert 59 <= now[0] <= 60


@pytest.mark.usefixtures("impatient")
def test_a_closed_port_is_one_line_without_the_password(closed: int) -> None:
    with pytest.raises(StepError) as told:
        connect(f"http://ada:secret@127.0.0.1:{closed}")
    assert str(told.value) == (
        f"MLflow at http://127.0.0.1:{closed} does not answer (Connection refused): start it, or set "
        "MLFLOW_TRACKING_URI to where it is"
    )


def test_it_is_asked_again_for_three_seconds(closed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, now = [], [0.0]

    def refuse(place: tuple[str, int], timeout: float) -> None:
        asked.append((place, timeout))
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    with pytest.raises(StepError, match="does not answer"):
        refuse_dead(f"http://127.0.0.1:{closed}", "MLflow", "start it")
    assert asked == [(("127.0.0.1", closed), 1.0)] * 7
    assert now == [3.0]


def test_a_server_that_comes_up_meanwhile_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components.network, "PATIENCE", 60.0)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        threading.Timer(0.2, server.listen).start()
        refuse_dead(f"http://127.0.0.1:{port}", "MLflow", "start it")


@pytest.mark.usefixtures("impatient")
def test_what_is_no_server_or_behind_a_proxy_is_not_asked(closed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_dead("sqlite:////nowhere/mlflow.db", "MLflow", "start it")
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")
    refuse_dead(f"http://mlflow.example.org:{closed}", "MLflow", "start it")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(StepError, match="does not answer"):
        refuse_dead(f"http://127.0.0.1:{closed}", "MLflow", "start it")


BY = ["--by", "Ada", "--note", "x"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--workspace", "{tmp}/workspace"],
        ["study", "mask", "--workspace", "{tmp}/workspace"],
        ["predict", "--data", "{rows}", "--out", "{tmp}/scores.parquet"],
        ["review", "list"],
        ["review", "show", "1"],
        ["review", "approve", "1", *BY],
        ["review", "reject", "1", *BY],
        ["rollback", *BY],
        ["submit", "--env", "{env}"],
        ["schedule", "list", "--env", "{env}"],
        ["schedule", "apply", "{schedule}"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
@pytest.mark.usefixtures("impatient")
def test_every_command_that_needs_a_dead_server_says_so_in_one_line(
    arguments: list[str],
    closed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = f"http://127.0.0.1:{closed}"
    dev = (ROOT / "infra/environments/dev.yaml").read_text().replace("http://localhost:8080", address)
    (tmp_path / "env.yaml").write_text(dev.replace("0" * 64, "1" * 64))
    schedule = (ROOT / "infra/schedules/dev.yaml").read_text()
    (tmp_path / "schedule.yaml").write_text(schedule.replace("environment: dev", f"environment: {tmp_path}/env.yaml"))
    row = {"user_id": [1], "item_id": [1], "item_seq": [[2]], "likes_level": [1], "views_level": [1], "label": [0]}
    pq.write_table(pa.table(row), tmp_path / "rows.parquet")
    places = {"tmp": tmp_path} | {path.stem: path for path in tmp_path.iterdir()}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setattr(sys, "argv", ["mmctr", *(argument.format(**places) for argument in arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    assert (left.value.code, told.err.count("\n")) == (1, 1), told
    assert f"at {address} does not answer (Connection refused)" in told.err
