"""Kills a real `mmctr run` at random moments of every step; the next run must end as if nothing had happened.

A chain is one workspace: ten runs that are killed, each going on from what the one before left, and one that is not.
Killed is the command itself, by SIGKILL or SIGTERM, or any one process that it started, as when the memory runs out.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.chaos.record import Record, Result, WrongError
from tests.chaos.reference import STEPS, Reference, registered
from tests.local_run import ROOT, environment, events_in, processes_of, steps_started, wait_for_step, wait_until

VICTIMS = ("command, SIGKILL", "command, SIGTERM", "one of its processes, SIGKILL")
A_CHAIN = 10
PATIENCE = 1800.0  # seconds for a run, also on a machine that does other things
RECOVERY = "the run after them"
STATUS = {"command, SIGKILL": -signal.SIGKILL, "command, SIGTERM": 128 + signal.SIGTERM}


@dataclass(frozen=True)
class Kill:
    step: str
    victim: str
    moment: float  # 0 is the step's start, 1 its end in the undisturbed run

    def __str__(self) -> str:
        return f"{self.victim} at {self.moment:.2f} of {self.step}"


def plan(seed: int, count: int) -> Iterator[tuple[int, list[Kill]]]:
    """`count` kills spread evenly over steps and victims, in chains."""
    chance = random.Random(seed)
    steps = [STEPS[i % len(STEPS)] for i in range(count)]
    victims = [VICTIMS[i % len(VICTIMS)] for i in range(count)]
    chance.shuffle(steps)
    chance.shuffle(victims)
    kills = [Kill(step, victim, chance.random()) for step, victim in zip(steps, victims, strict=True)]
    for number, start in enumerate(range(0, count, A_CHAIN)):
        yield number, kills[start : start + A_CHAIN]


def run_kills(record: Record, reference: Reference, count: int) -> None:
    seconds = durations(reference)
    for number, kills in plan(record.seed, count):
        workspace = reference.folder / f"chain-{number}"
        if not record.has(f"chain {number}, kill 0"):
            shutil.rmtree(workspace, ignore_errors=True)
        for place, kill in enumerate(kills):
            record.attempt(
                kill.step, f"chain {number}, kill {place}", partial(strike, kill, workspace, reference, seconds)
            )
        record.attempt(RECOVERY, f"chain {number}, the run after", partial(recover, workspace, reference))
        shutil.rmtree(workspace, ignore_errors=True)


def durations(reference: Reference) -> dict[str, float]:
    """Of each step in the undisturbed run, up to the start of the next one."""
    (events,) = reference.workspace.glob("runs/*/events.jsonl")
    started = steps_started(events)
    ends = [*list(started.values())[1:], events.stat().st_mtime]
    return dict(zip(started, [end - start for start, end in zip(started.values(), ends, strict=True)], strict=True))


def strike(kill: Kill, workspace: Path, reference: Reference, seconds: dict[str, float]) -> Result:
    earlier = events_in(workspace)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the child must not inherit a handler of pytest
    process = subprocess.Popen(
        reference.command(workspace),
        env=environment(),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    signal.signal(signal.SIGTERM, before)
    try:
        events = wait_for_step(workspace, kill.step, lambda: process.poll() is None, PATIENCE, earlier)
        deadline = time.monotonic() + kill.moment * seconds[kill.step]
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        struck = _send(kill, process, events)
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    _check(kill, process.returncode, output, events)
    return Result("recovered", f"{kill}: {struck}, exit status {process.returncode}")


def _send(kill: Kill, process: "subprocess.Popen[str]", events: Path) -> str:
    if kill.victim.startswith("command"):
        sign = signal.SIGKILL if "SIGKILL" in kill.victim else signal.SIGTERM
        process.send_signal(sign)
        return f"{sign.name} to the command"
    others = [pid for pid in processes_of(events) if pid != process.pid]
    if not others:
        process.kill()
        return "SIGKILL to the command, which had started nothing at that moment"
    random.Random(str(kill)).shuffle(others)
    for victim in others:
        try:
            what = Path(f"/proc/{victim}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            os.kill(victim, signal.SIGKILL)
        except OSError:  # it ended by itself in this moment
            continue
        return f"SIGKILL to {what.replace(f'{events.parents[3]}/', '')[-60:]}"  # without the folder of the workspaces
    return "no signal, because all that the command had started ended in that moment"


def _check(kill: Kill, status: int, output: str, events: Path) -> None:
    wait_until(lambda: not processes_of(events))
    if "Traceback" in output:
        raise WrongError(f"{kill}: a traceback: {output[-600:]}")
    expected = STATUS.get(kill.victim)
    # A step that had just ended leaves nothing to kill; a run may survive the loss of a helper process.
    if expected is not None and status not in (expected, 0):
        raise WrongError(f"{kill}: exit status {status}, expected {expected}: {output[-600:]}")
    if status == 1 and "failed " not in output:
        raise WrongError(f"{kill}: the run failed without a word: {output[-600:]}")


def recover(workspace: Path, reference: Reference) -> Result:
    """The run that nobody kills: it must end with what the undisturbed one made, and leave nothing behind."""
    done = reference.run(workspace)
    if done.returncode or "Traceback" in done.stdout + done.stderr:
        raise WrongError(f"exit status {done.returncode}: {(done.stdout + done.stderr)[-800:]}")
    made = registered(workspace)
    if made != reference.made:
        raise WrongError(f"made {made}, undisturbed {reference.made}")
    left = [path for pattern in ("runs/*/tmp", "runs/*/running") for path in workspace.glob(pattern)]
    if left:
        raise WrongError(f"left behind: {', '.join(map(str, left))}")
    return Result("recovered", "the same weights, embeddings and version; no process and no temporary file left")
