"""One serving process: the follower, the application, and uvicorn around it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI

from components.errors import StepError
from components.predict.engines import EngineName, device_of
from components.serve.app import make_app
from components.serve.follow import Follower
from components.serve.limits import Queue
from components.serve.make_trial import TrialConfig, make_trial
from components.tracking.models import Models


@dataclass(frozen=True)
class ServeConfig:
    host: str = "127.0.0.1"
    port: int = 8080
    alias: str = "champion"
    version: int | None = None  # a number instead of the alias
    every: float = 15.0  # seconds between two looks at the registry
    engine: EngineName = "eager"
    threads: int = 1
    waiting: int = 32
    time_limit: float = 5.0  # seconds
    drain: int = 20  # seconds
    trial: TrialConfig = field(default_factory=TrialConfig)


def serve(models: Models, cache: Path, config: ServeConfig, ready: Callable[[str], None]) -> None:
    """Returns after SIGTERM or Ctrl-C, when what had begun is answered. Calls `ready` with the address."""
    torch.set_num_threads(config.threads)
    device_of(config.engine)  # raises before anything starts
    follower = Follower(models, config.alias, cache, config.every, config.version, config.engine)
    queue = Queue(config.waiting, config.time_limit)
    trial = make_trial(models, cache, config.trial, config.every, config.engine, queue)
    app = make_app(models.name, follower, queue, trial)
    with listening(app, config) as (server, bound):
        follower.start()
        trial.start()
        try:
            ready("http://{}:{}".format(*bound.getsockname()[:2]))
            server.run([bound])
        finally:  # when it is done, uvicorn raises the signal that ended it once more
            follower.stop()
            trial.stop()


@contextmanager
def listening(app: FastAPI, config: ServeConfig) -> Iterator[tuple[uvicorn.Server, socket.socket]]:
    """The HTTP server, and the socket that it will run on."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=config.drain,
            timeout_keep_alive=75,  # longer than the 60 s of usual balancers, which must be the ones to close
        )
    )
    try:
        bound = server.config.bind_socket()
    except SystemExit:  # uvicorn's answer to an address that is taken; it has logged the reason
        raise StepError(f"--host {config.host} --port {config.port}: nothing can listen there") from None
    # Connections inherit it. Without it the second part of an answer waits until the client has acknowledged the first,
    # which clients put off for 40 ms; asyncio sets it by itself only for sockets that it made.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with bound:
        bound.listen(2048)  # as uvicorn does when it runs: from now on clients wait instead of being turned away
        yield server, bound
