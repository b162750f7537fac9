"""A piece of a study's work in a process of its own: what it returns, why it failed, and how it ends."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from studies.task import Task

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from components.errors import StepError
from components.process.progress import progress
from studies.task import serve

def work(request):
    if request["do"] == "refuse":
        raise StepError("the data are spoiled: mend them")
    if request["do"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if request["do"] == "crash":
        raise RuntimeError("a slip")
    if request["do"] == "wait":
        with progress("wait", 1, "s"):
            time.sleep(600)
    Path(request["answer"]).write_text(os.environ.get("OMP_NUM_THREADS", "unset"))

sys.exit(serve(work))
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_task.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])]))
    monkeypatch.delenv("OMP_NUM_THREADS")


def start(tmp_path: Path, do: str) -> Task:
    return Task("made_up_task", tmp_path / "task", {"do": do, "answer": str(tmp_path / "answer")})


def wait(task: Task) -> int:
    deadline = time.monotonic() + 300
    while task.status is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    task.end()
    return task.status


def test_it_works_on_one_thread_whatever_runs_beside_it(tmp_path: Path) -> None:
    assert wait(start(tmp_path, "answer")) == 0
    assert (tmp_path / "answer").read_text() == "1"


@pytest.mark.parametrize(
    ("do", "message"),
    [
        pytest.param("refuse", "the data are spoiled: mend them", id="a-person-must-mend-it"),
        pytest.param("die", "its process was killed by signal 9; its log: ", id="killed"),
        pytest.param("crash", "RuntimeError: a slip", id="crashed"),
    ],
)
def test_why_it_failed(tmp_path: Path, do: str, message: str) -> None:
    task = start(tmp_path, do)
    assert wait(task) != 0
    assert message in task.failure()


def test_an_ended_task_is_gone_and_an_old_failure_is_forgotten(tmp_path: Path) -> None:
    assert wait(start(tmp_path, "refuse")) == 1
    task = start(tmp_path, "wait")
    told: list[dict[str, Any]] = []
    while not told:
        told = list(task.new_events())
    assert told[0]["name"] == "wait"
    task.end()
    assert task.status == -signal.SIGTERM
    assert "mend them" not in task.failure()
    task.end()  # a second time does no harm
