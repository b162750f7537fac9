"""The child's side of `children.py`: a process that ends, with all it started, when the process that needs it is gone.

    python -m components.process.lifeline MODULE [ARGUMENT ...]

runs MODULE as `python -m MODULE` would. Its standard input is a pipe whose other end the parent holds and never writes
to. The kernel closes that end when the parent dies, however it dies (also by kill -9), and the read below returns.
"""

import ctypes
import os
import runpy
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_parent() -> None:
    """Watches the pipe on standard input from a thread, and gives programs that this process starts an empty input."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_kill_session_after, args=(pipe,), name="lifeline", daemon=True).start()


def _kill_session_after(pipe: int) -> None:
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)


def kill_when_starter_dies() -> None:
    """Asks Linux to kill this process together with the one that started it; other systems know no such thing.

    For a process that its starter put into a session of its own, as torchrun does with its ranks.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
