"""The socket of the server."""

import socket

from fastapi import FastAPI

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
