"""What keeps one request from harming the others: a bounded queue, a limit for bodies, a time to send them in."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
T = TypeVar("T")

BODY_BYTES = 1_000_000  # 2,000 candidates with their levels are 60 kB
READ_AND_DROPPED = 32 * BODY_BYTES  # of a longer body: a client that is still sending does not read an answer
BODY_SECONDS = 10.0
TOO_LONG = f"the body is longer than {BODY_BYTES:,} bytes; send fewer candidates at once"


class BusyError(Exception):
    """As many requests as the queue holds are waiting already."""


class OverdueError(Exception):
    """The request waited or worked longer than its time limit."""


class Queue:
    """One request is computed at a time, on all threads that torch has; a few others may wait."""

    def __init__(self, length: int, seconds: float) -> None:
        self.length, self.seconds, self.inside = length, seconds, 0
        self._worker = ThreadPoolExecutor(1, "scores")

    async def run(self, work: Callable[[], T]) -> T:
        if self.inside > self.length:
            raise BusyError
        self.inside += 1
        running = asyncio.get_running_loop().run_in_executor(self._worker, work)
        running.add_done_callback(self._left)
        try:
            return await asyncio.wait_for(running, self.seconds)
        except TimeoutError:
            raise OverdueError from None

    def _left(self, _: object) -> None:
        self.inside -= 1


@dataclass
class BoundedBodies:
    """Reads a request's body before the application sees it; refuses one that is too long or comes too slowly."""

    app: App

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"expect" in headers and int(headers.get(b"content-length", 0)) > BODY_BYTES:
            await refuse(send, 413, TOO_LONG)  # the client has sent nothing yet, and asks whether it may
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read(receive)
        except TimeoutError:
            await refuse(send, 408, f"the body did not arrive within {BODY_SECONDS:.0f} s")
            return
        if body is None:
            await refuse(send, 413, TOO_LONG)
            return
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None for one that is too long, most of which is read all the same."""
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= BODY_BYTES:
            parts.append(part)
        if not message.get("more_body", False) or size > READ_AND_DROPPED:
            return b"".join(parts) if size <= BODY_BYTES else None


async def refuse(send: Send, status: int, error: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps({"error": error})})
