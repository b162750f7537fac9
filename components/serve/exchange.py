"""A request's id and user, taken from its headers, and what was answered: kept beside the routes, which know neither.

`X-Request-Id` comes back with every answer, made up where the client gave none. `X-User-Id` says whose request it is;
only a keyed hash of it is ever written down.
"""

import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from components.request_log.choice import fits_request_id
from components.serve.asked import Asked
from components.serve.limits import App, Message, Receive, Send, refuse
from components.serve.version import Scores, ServedVersion

REQUEST_ID, USER_ID = b"x-request-id", b"x-user-id"
_LONGEST_USER = 256  # bytes


@dataclass(frozen=True)
class Answered:
    arm: int  # the version that was to answer
    by: ServedVersion
    scores: Scores
    asked: Asked


@dataclass
class Exchange:
    request_id: str
    user: str | None = None
    route: str = ""
    at: datetime | None = None
    answered: Answered | None = None

    @property
    def key(self) -> str:
        """What decides which version answers, and whether the request is logged."""
        return self.request_id if self.user is None else self.user


current: ContextVar[Exchange] = ContextVar("exchange")


@dataclass
class Identified:
    """Gives each request an id, and hands over what was answered once the answer has been sent."""

    app: App
    finished: Callable[[Exchange], None]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given, user = headers.get(REQUEST_ID), headers.get(USER_ID)
        if given is not None and not fits_request_id(given.decode("latin-1")):
            await refuse(send, 422, "X-Request-Id: must be 1 to 64 letters, digits or . _ : + / = -")
            return
        if user is not None and len(user) > _LONGEST_USER:
            await refuse(send, 422, f"X-User-Id: must be at most {_LONGEST_USER} bytes long (given: {len(user)})")
            return
        exchange = Exchange(given.decode() if given else uuid.uuid4().hex, at=datetime.now(UTC))
        exchange.user = user.decode("latin-1") if user else None

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, exchange.request_id.encode())]
            await send(message)

        token = current.set(exchange)
        try:
            await self.app(scope, receive, named)
        finally:
            current.reset(token)
        if exchange.answered is not None:
            exchange.route = scope["path"]
            self.finished(exchange)
