"""Locks work between threads, processes and machines, and are replaced when their holder has died."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from components.errors import StepError
from components.storage import locks
from components.storage.locks import alone

HOLD = """
import pathlib, sys, time
from components.storage.locks import alone
with alone(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def _holder(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def _count_up(path: Path, rounds: int) -> None:
    for _ in range(rounds):
        with alone(path.with_suffix(".lock")):
            count = int(path.read_text())
            time.sleep(0.001)
            path.write_text(str(count + 1))


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LEASE", 0.4)
    monkeypatch.setattr(locks, "TOUCH", 0.1)
    monkeypatch.setattr(locks, "UNSIGNED", 0.2)
    monkeypatch.setattr(locks, "POLL", 0.01)


def test_no_two_processes_and_no_two_threads_hold_it_at_once(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_count_up, args=(counter, 10)) for _ in range(3)]
    threads = [threading.Thread(target=_count_up, args=(counter, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    for thread in threads:
        thread.start()
    for process in processes:
        process.join(60)
    for thread in threads:
        thread.join(60)
    assert counter.read_text() == "60"
    assert [path.name for path in tmp_path.iterdir()] == ["counter"], "a lock file was left behind"


def test_who_does_not_wait_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "job.lock"
    with _holder(path) as process:
        try:
            named = rf"job.lock: process {process.pid} on .* is at work there; wait"
            with pytest.raises(StepError, match=named), alone(path, wait=False):
                pytest.fail("two holders")
        finally:
            process.kill()


def test_a_killed_holder_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "job.lock"
    with _holder(path) as process:
        process.send_signal(signal.SIGKILL)
    assert path.is_file(), "the test needs what a killed holder leaves"
    with alone(path, wait=False) as hold:
        hold.check()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("exchanges", [True, False], ids=["names can be exchanged", "as on NFS"])
@pytest.mark.parametrize("wait", [True, False])
def test_a_dead_holder_on_another_machine_is_replaced_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool, wait: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "job.lock"
    path.write_text("filelock/2\npid=7\nhost=elsewhere\nmode=lease\ntoken=abc\nduration=0.4\n")
    if not wait:
        os.utime(path, (time.time() - 60, time.time() - 60))
    if not exchanges:
        monkeypatch.setattr("filelock._soft.exchange_names", lambda *_: False)
    began = time.monotonic()
    with alone(path, wait=wait) as hold:
        assert time.monotonic() - began >= 0.4, "taken before its lease was over"
        hold.check()
    assert exchanges or "removing the lock of process 7 on elsewhere" in caplog.text


@pytest.mark.usefixtures("fast")
def test_a_living_holder_on_another_machine_keeps_it_however_long(tmp_path: Path) -> None:
    path, held = tmp_path / "job.lock", threading.Event()
    path.write_text("filelock/2\npid=7\nhost=elsewhere\nmode=lease\ntoken=abc\nduration=0.4\n")

    def take() -> None:
        with alone(path):
            held.set()

    waiter = threading.Thread(target=take)
    waiter.start()
    for _ in range(20):  # five leases long
        os.utime(path)
        assert not held.wait(0.1)
    path.unlink()
    waiter.join(10)
    assert held.is_set()


@pytest.mark.usefixtures("fast")
def test_a_file_whose_creator_died_before_signing_it_does_not_block_for_ever(tmp_path: Path) -> None:
    (tmp_path / "job.lock").touch()
    with alone(tmp_path / "job.lock") as hold:
        hold.check()


def test_a_holder_that_was_replaced_is_told(tmp_path: Path) -> None:
    path = tmp_path / "job.lock"
    with alone(path) as hold:
        hold.check()
        path.write_text("filelock/2\npid=7\nhost=elsewhere\nmode=lease\ntoken=abc\nduration=120.0\n")
        with pytest.raises(StepError, match=r"was suspended .* process 7 on elsewhere went on in its place; run again"):
            hold.check()


def test_waiting_for_oneself_is_an_error_and_no_silence(tmp_path: Path) -> None:
    with alone(tmp_path / "job.lock"), pytest.raises(RuntimeError, match="Deadlock"), alone(tmp_path / "job.lock"):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StepError, match=r"job.lock: the lock file can't be written"),
        alone(tmp_path / "file" / "job.lock"),
    ):
        pass
