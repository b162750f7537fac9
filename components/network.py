"""Whether a server listens at all, found out before its client is used, which would ask again for half a minute."""

import socket
import time
import urllib.request
from urllib.parse import urlsplit

from components.errors import StepError

PATIENCE = 3.0  # seconds; a person waits for the answer
STEP_PATIENCE = 60.0  # seconds; nobody waits for a step, and a server may be restarted while a night runs
_ONE_TRY, _PAUSE = 1.0, 0.5  # seconds
_PORTS = {"http": 80, "https": 443}


def refuse_dead(address: str, what: str, remedy: str, patience: float | None = None) -> None:
    """Raises StepError if nothing takes connections at an http(s) address for three seconds, or for `patience`.

    Behind a proxy only the proxy would answer, so nothing is asked there.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # no address at all: its client says so
        return
    if parts.scheme not in _PORTS or not parts.hostname or _proxied(parts.scheme, parts.hostname):
        return
    place, deadline = (
        (parts.hostname, parts.port or _PORTS[parts.scheme]),
        time.monotonic() + (PATIENCE if patience is None else patience),
    )
    while True:
        try:
            socket.create_connection(place, timeout=_ONE_TRY).close()
        except OSError as error:
            if time.monotonic() + _PAUSE > deadline:
                raise StepError(f"{what} at {address} does not answer ({error.strerror or error}): {remedy}") from None
            time.sleep(_PAUSE)
        else:
            return


def _proxied(scheme: str, host: str) -> bool:
    return scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)
