"""Promotion by webhook: whoever may set the tag `mmctr.promote` on a version, asks for its approval from MLflow's page.

    mmctr.promote = Ada: better on new items

MLflow tells this receiver of the tag, signed with a secret that both know. The receiver runs the same approval as the
command line, with the same checks, so the worst that a forged or repeated message could ask for is what a person might.
It refuses both all the same: a message is taken once, and only while it is fresh.
"""

import base64
import hashlib
import hmac
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from components.errors import StepError
from components.review.decide import Reviewer, approve
from components.tracking.models import Models

PROMOTE = "mmctr.promote"
SECRET_VARIABLE = "MMCTR_WEBHOOK_SECRET"
FRESH = 300  # seconds that a message may be old, or ahead of this clock
LARGEST = 1 << 20  # bytes of a message
_ID, _TIME, _SIGNATURE = "X-MLflow-Delivery-Id", "X-MLflow-Timestamp", "X-MLflow-Signature"
_log = logging.getLogger(__name__)


class UntrustedError(Exception):
    """The message is not one that MLflow sent, sent just now, and for the first time."""


@dataclass
class Gatekeeper:
    """Tells a message of MLflow's from any other."""

    secret: str
    clock: Callable[[], float] = time.time
    _seen: dict[str, float] = field(default_factory=dict)  # delivery id -> when it may be forgotten
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if len(self.secret) < 16:
            raise ValueError(f"{SECRET_VARIABLE} has {len(self.secret)} characters: must have at least 16")

    def admit(self, headers: Mapping[str, str], body: bytes) -> str:
        """The delivery's id, if it may come in."""
        delivery, sent, signature = (headers.get(name) or "" for name in (_ID, _TIME, _SIGNATURE))
        if not hmac.compare_digest(signature.encode(), sign(self.secret, delivery, sent, body).encode()):
            raise UntrustedError("the signature is not of our secret")
        now = self.clock()
        if not sent.isdigit() or abs(now - int(sent)) > FRESH:
            raise UntrustedError(f"the message was sent at {sent}, more than {FRESH} seconds from now")
        with self._lock:
            self._seen = {known: until for known, until in self._seen.items() if until > now}
            if delivery in self._seen:
                raise UntrustedError(f"delivery {delivery} came before")
            self._seen[delivery] = now + 2 * FRESH
        return delivery


def sign(secret: str, delivery: str, sent: str, body: bytes) -> str:
    digest = hmac.new(secret.encode(), f"{delivery}.{sent}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


@dataclass(frozen=True)
class Request:
    version: int
    reviewer: Reviewer


def asked(body: bytes, name: str, delivery: str) -> Request | None:
    """The approval that a message asks for; None for the many that ask for nothing."""
    message = json.loads(body)
    tag = message.get("data", {})
    if (message.get("entity"), message.get("action")) != ("model_version_tag", "set"):
        return None
    if tag.get("name") != name or tag.get("key") != PROMOTE:
        return None
    by, _, note = str(tag.get("value") or "").partition(":")
    return Request(
        int(tag["version"]), Reviewer(f"{by.strip()} (webhook {delivery})" if by.strip() else "", note.strip())
    )


class Receiver:
    """Answers MLflow at once, and approves one version after another behind it."""

    def __init__(self, models: Models, gatekeeper: Gatekeeper, host: str, port: int) -> None:
        self.models, self.gatekeeper = models, gatekeeper
        self.outcomes: list[str] = []
        self._work: queue.Queue[Request | None] = queue.Queue()
        self._http = ThreadingHTTPServer((host, port), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://{host}:{self._http.server_address[1]}/"

    def run(self) -> None:
        """Until `stop`, or Ctrl-C."""
        worker = threading.Thread(target=self._approve_all, name="approvals")
        worker.start()
        try:
            self._http.serve_forever(poll_interval=0.2)
        finally:
            self._http.server_close()
            self._work.put(None)
            worker.join()

    def stop(self) -> None:
        self._http.shutdown()

    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """What MLflow is answered: a status and a sentence."""
        try:
            delivery = self.gatekeeper.admit(headers, body)
            request = asked(body, self.models.name, delivery)
        except UntrustedError as error:
            _log.warning("a message was refused: %s", error)
            return 401, str(error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return 400, f"{PROMOTE} must read 'NAME: REASON' ({error})"
        if request is None:
            return 200, "nothing to do"
        self._work.put(request)
        return 202, f"version {request.version} will be checked and approved"

    def _approve_all(self) -> None:
        while (request := self._work.get()) is not None:
            try:
                sentence = approve(self.models, request.version, request.reviewer).sentence
            except StepError as error:
                sentence = f"version {request.version} was not approved: {error}"
            self.outcomes.append(sentence)
            _log.info("%s", sentence)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= LARGEST:
                self.reply(413, f"a message has 1 to {LARGEST} bytes")
                return
            self.reply(*receiver.take(dict(self.headers.items()), self.rfile.read(length)))

        def reply(self, status: int, sentence: str) -> None:
            body = json.dumps({"message": sentence}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            _log.debug(format, *args)

    return Handler
