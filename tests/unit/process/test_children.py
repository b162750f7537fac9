"""Child processes and their own children end with the process that started them; output is read line by line."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.process.children import Child, Tail

# A child that starts another process of its session, writes both ids to a file and waits.
CHILD = """
import os, subprocess, sys, time
from pathlib import Path
assert sys.stdin.read() == ""  # an empty input, not the pipe
inner = subprocess.Popen(["sleep", "600"])
Path(sys.argv[1]).with_suffix(".new").write_text(f"{os.getpid()} {inner.pid}")
os.rename(Path(sys.argv[1]).with_suffix(".new"), sys.argv[1])
if sys.argv[2] == "wait":
    time.sleep(600)
sys.exit(7)
"""
PARENT = """
import os, sys, time
from pathlib import Path
from components.process.children import Child
child = Child("made_up_child", sys.argv[1], "wait", log=Path(sys.argv[1] + ".log"), environment=dict(os.environ))
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])]))


def start(tmp_path: Path, then: str) -> Child:
    return Child("made_up_child", str(tmp_path / "ids"), then, log=tmp_path / "log", environment=dict(os.environ))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ids(tmp_path: Path) -> list[int]:
    wait_until((tmp_path / "ids").is_file)
    return [int(word) for word in (tmp_path / "ids").read_text().split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM, signal.SIGSEGV])
def test_whatever_ends_the_parent_ends_the_child_and_its_children(tmp_path: Path, sign: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "ids")])
    started = ids(tmp_path)
    assert all(runs(pid) for pid in started)
    parent.send_signal(sign)
    parent.wait()
    wait_until(lambda: not any(runs(pid) for pid in started))


@pytest.mark.parametrize("how", ["it ends by itself", "it is killed", "it is asked to end"])
def test_nothing_of_its_session_outlives_a_child(tmp_path: Path, how: str) -> None:
    with start(tmp_path, "leave" if how == "it ends by itself" else "wait") as child:
        leader, inner = ids(tmp_path)
        assert leader == child.pid
        if how == "it is killed":
            os.kill(leader, signal.SIGKILL)
        if how != "it is asked to end":
            wait_until(lambda: child.status is not None)
            assert runs(inner)
    assert not runs(inner)
    assert child.status == {"it ends by itself": 7, "it is killed": -9, "it is asked to end": -15}[how]
    child.end()  # a second time does no harm


def test_a_child_that_ignores_the_polite_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.process.children.GRACE", 0.2)
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    (tmp_path / "made_up_child.py").write_text(stubborn + CHILD)
    with start(tmp_path, "wait") as child:
        ids(tmp_path)
    assert child.status == -signal.SIGKILL


def test_the_last_lines_of_its_output_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    (tmp_path / "made_up_child.py").write_text("for n in range(9): print('line', n)\nraise SystemExit('the reason')")
    with start(tmp_path, "") as child:
        for _ in child.polls_until_end():
            pass
    assert child.status == 1
    assert child.last_lines(2) == ["line 8", "the reason"]


def test_only_whole_new_lines_are_read_also_of_a_file_that_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "file"
    later = Tail(path)
    assert list(later.lines()) == []
    with path.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert list(later.lines()) == ["one"]
        file.write("o\nthree\n")
        file.flush()
        assert list(later.lines()) == ["two", "three"]
        assert list(Tail(path).lines()) == []


def test_a_broken_line_is_named_and_the_others_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    path.write_text('{"kind": "step"}\n{"kind": "st{"kind": "step"}\n{"kind": "summary"}\n')
    with caplog.at_level(logging.WARNING):
        assert [event["kind"] for event in tail.events()] == ["step", "summary"]
    assert "events.jsonl has a line that is no JSON" in caplog.text
