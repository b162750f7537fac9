"""Whatever ends `mmctr run`, a signal or a closed terminal, ends its steps too, and the next run can go on."""

import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from components.dataset.sample import SIZES, write_sample
from tests.local_run import ROOT, command, environment, processes_of, query, wait_for_step, wait_until, walk

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
    events = wait_for_step(tmp_path, step)
    wait_until(lambda: len(processes_of(events)) >= 3)
    process.send_signal(sign)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == status
    assert "Traceback" not in errors
    wait_until(lambda: not processes_of(events))
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
