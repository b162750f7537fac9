"""`mmctr ui`: MLflow's pages of the workspace's registry."""

import os
import socket
import time
import urllib.request
from pathlib import Path
from typing import Annotated

import typer

from components.errors import StepError, redacted
from components.process.children import Child
from components.tracking.server import URI_VARIABLE, sqlite_file, tracking_uri
from pipelines.cli.options import WorkspaceOption
from pipelines.cli.stopping import stoppable

_HOST = "127.0.0.1"  # no other machine can reach it: the pages ask for no password
_PATIENCE = 60.0  # seconds that MLflow gets to start


def ui(
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)] = 0,
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Show runs, curves and model versions as pages in a browser, until Ctrl-C.

    Starts MLflow's own server for the registry of this workspace. With MLFLOW_TRACKING_URI set to a server it only says
    where that server's pages are.

    Examples: `mmctr ui` · `mmctr ui --port 5001`
    """
    address = tracking_uri(workspace)
    database = sqlite_file(address)
    if database is None:
        print(f"{URI_VARIABLE} names a server of its own; its pages are at {redacted(address)}")
        return
    if not database.is_file():
        raise StepError(
            f"no registry here: there is no {database}; `mmctr run` makes one, or name one with --workspace"
        )
    port = _free(port)
    with stoppable(), _server(database, address, port) as server:
        _wait_until_ready(server, f"http://{_HOST}:{port}")
        print(f"the registry's pages are at http://{_HOST}:{port} (Ctrl-C ends this)", flush=True)
        for _ in server.polls_until_end():
            pass
        raise StepError(f"MLflow ended by itself; its log is {server.log}")


def _server(database: Path, address: str, port: int) -> Child:
    environment = {name: value for name, value in os.environ.items() if name != URI_VARIABLE}
    environment |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    arguments = [f"--backend-store-uri={address}", f"--default-artifact-root={database.with_name('mlartifacts')}"]
    arguments += [f"--host={_HOST}", f"--port={port}", "--workers=1", "--no-serve-artifacts"]
    return Child("mlflow", "server", *arguments, log=database.with_name("ui.log"), environment=environment)


def _free(port: int) -> int:
    """The port, or a free one for 0; refuses one that is taken before MLflow is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise StepError(f"--port {port}: {error.strerror}; leave --port out for a free one") from None
        return int(probe.getsockname()[1])


def _wait_until_ready(server: Child, url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    for _ in server.polls_until_end():
        if server.status is not None or time.monotonic() > deadline:
            break
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1):
                return
        except OSError:
            continue
    last = server.last_lines(1) or ["it wrote nothing"]
    raise StepError(f"MLflow did not start ({last[0].strip()}); its log is {server.log}")
