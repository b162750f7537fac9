"""Whatever ends `mmctr run`, a signal or a closed terminal, ends its steps too, and the next run can go on."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.dataset.sample import SIZES, write_sample
from tests.local_run import ROOT, command, environment, query, walk

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder, replace(SIZES["tiny"], content="item_info"))  # nothing to encode
    return folder


@pytest.mark.parametrize(
    ("sign", "step", "status"),
    [
        pytest.param(signal.SIGINT, "validate", 130, id="Ctrl-C"),
        pytest.param(signal.SIGHUP, "validate", 129, id="the terminal is closed"),
        pytest.param(signal.SIGKILL, "train", -9, id="kill -9"),
    ],
)
def test_whatever_ends_the_command_ends_every_step(
    tmp_path: Path, data: Path, sign: signal.Signals, step: str, status: int
) -> None:
    # The command leaves SIGHUP ignored where it finds it so, as under nohup, and these tests may themselves run there.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen(
        command(tmp_path, data), env=environment(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    signal.signal(signal.SIGHUP, before)
    events = _wait_for_step(tmp_path, step)
    _wait_until(lambda: len(_processes_of(events)) >= 3)
    process.send_signal(sign)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in errors
    _wait_until(lambda: not _processes_of(events))
    assert '"register"' not in events.read_text()
    scratch = events.with_name("tmp")
    if sign == signal.SIGKILL:
        assert any(scratch.iterdir()), "the test needs the temporary files that a killed run leaves"
        done = walk(tmp_path, data)
        assert "mmctr version 1, alias challenger" in done.stdout
        assert query(tmp_path, "select count(*) from model_versions") == [(1,)]
    else:
        assert "the same command goes on from there" in output
    assert not scratch.exists()


def _wait_for_step(workspace: Path, name: str) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for events in workspace.glob("runs/*/events.jsonl"):
            lines = [json.loads(line) for line in events.read_text().splitlines()]
            if any(line["kind"] == "step" and line["name"] == name for line in lines):
                return events
        time.sleep(0.1)
    raise AssertionError(f"{name} did not start")


def _processes_of(events: Path) -> list[int]:
    """Every process, in whatever session, that was started for the run of this events file."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(events).encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
