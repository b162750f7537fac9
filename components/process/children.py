"""Programs that are started in a session of their own, so that Ctrl-C reaches only who started them, and end whole."""

import os
import signal
import subprocess

# Threads that wait for each other sleep instead of spinning: where another program wants the cores as well, an epoch on
# the sample took 4 s instead of 52 s.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
GRACE = 10.0  # seconds that an interrupted program gets to write its checkpoint and go by itself


def end_session(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process and what it started, politely first."""
    for sign, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue
