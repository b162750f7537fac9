"""What ends a long command from outside: Ctrl-C, `kill`, a terminal that is closed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it each of these signals interrupts as Ctrl-C does; at its end the exit status names the signal.

    That also holds for a shell's background job, which ignores Ctrl-C otherwise. Under `nohup` SIGHUP stays ignored.
    """
    before = {sign: signal.getsignal(sign) for sign in SIGNALS}
    for sign in SIGNALS:
        if not (sign == signal.SIGHUP and before[sign] == signal.SIG_IGN):
            signal.signal(sign, _interrupt)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise SystemExit(128 + interrupt.args[0]) from None
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _interrupt(sign: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(sign)
