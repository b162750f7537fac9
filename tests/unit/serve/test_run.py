"""The server and its socket."""

import socket
import threading
from typing import Any

from fastapi import FastAPI

from components.serve.limits import BODY_BYTES, BoundedBodies
from components.serve.run import ServeConfig, listening


def test_answers_do_not_wait_for_the_acknowledgement_of_their_first_part() -> None:
    """Clients put an acknowledgement off for 40 ms, so each answer on a connection that stays open took 40 ms more."""
    with (
        listening(FastAPI(), ServeConfig(port=0)) as (_, bound),
        socket.create_connection(bound.getsockname(), timeout=10),
    ):
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_body_that_is_too_long_is_refused_before_it_is_sent_if_the_client_asks() -> None:
    """curl asks so before it sends more than a megabyte."""
    app: Any = BoundedBodies(FastAPI())
    with listening(app, ServeConfig(port=0)) as (server, bound):
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        try:
            with socket.create_connection(bound.getsockname(), timeout=60) as client:
                head = ["POST /rank HTTP/1.1", "Host: x", f"Content-Length: {BODY_BYTES + 1}", "Expect: 100-continue"]
                client.sendall("\r\n".join([*head, "", ""]).encode())
                answer = client.makefile("rb").read()  # until the server closes the connection
        finally:
            server.should_exit = True
            thread.join(60)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"longer than 1,000,000 bytes" in answer
    assert b"100 Continue" not in answer
