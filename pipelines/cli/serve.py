"""`mmctr serve`: the champion behind HTTP, until Ctrl-C or SIGTERM."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli.options import WorkspaceOption
from pipelines.cli.stopping import stoppable

_TRIAL = "A challenger, and the log of requests"


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)] = 8080,
    alias: Annotated[str, typer.Option(help="Which version: champion, challenger or previous_champion.")] = "champion",
    version: Annotated[
        int | None,
        typer.Option(
            help="Serve the version with this number, whatever the alias says, until the end. 0 waits.", min=0
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="The registered model.")] = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
    every: Annotated[float, typer.Option(help="Seconds between two looks for a newer version.", min=1)] = 15.0,
    engine: Annotated[
        Literal["eager", "openvino", "cuda"],
        typer.Option(help="What computes: torch (eager), OpenVINO, mostly faster on a processor, or torch on a GPU."),
    ] = "eager",
    threads: Annotated[int, typer.Option(help="Processor threads that a request may use.", min=1)] = 1,
    waiting: Annotated[int, typer.Option(help="Requests that may wait; more are answered with 429.", min=0)] = 32,
    time_limit: Annotated[
        float, typer.Option(help="Seconds that a request may take, waiting included.", min=0.1)
    ] = 5.0,
    drain: Annotated[int, typer.Option(help="Seconds that begun requests get after SIGTERM.", min=1)] = 20,
    challenger: Annotated[
        str, typer.Option(help="Which version to try: an alias or a number.", rich_help_panel=_TRIAL)
    ] = "challenger",
    canary: Annotated[
        float, typer.Option(help="Share of the users whom the challenger answers.", rich_help_panel=_TRIAL)
    ] = 0.0,
    shadow: Annotated[
        float,
        typer.Option(
            help="Share of the users whose requests the challenger scores too, after they were answered.",
            rich_help_panel=_TRIAL,
        ),
    ] = 0.0,
    log: Annotated[
        str | None,
        typer.Option(help="Log requests and scores in this folder or s3://bucket/prefix.", rich_help_panel=_TRIAL),
    ] = None,
    log_rate: Annotated[float, typer.Option(help="Share of the users that are logged.", rich_help_panel=_TRIAL)] = 1.0,
    log_seconds: Annotated[
        float, typer.Option(help="Seconds until a request is in a file, at most.", rich_help_panel=_TRIAL)
    ] = 60.0,
) -> None:
    """Score candidates over HTTP with the approved version, and follow the registry without a restart.

    POST /rank takes one user's history and up to 2,000 candidates; /docs has the other routes and examples.

    Examples: `mmctr serve` · `mmctr serve --host 0.0.0.0 --port 8080 --engine openvino` ·
    `mmctr serve --log requests --canary 0.1`
    """
    from components.tracking.models import Models
    from components.tracking.server import connect, existing_registry
    from pipelines.workspace import temporary_files_in, usable

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    if workspace.exists():
        usable(workspace)
    models = Models(connect(existing_registry(workspace)), name)
    from components.request_log.writer import LogConfig
    from components.serve.make_trial import TrialConfig
    from components.serve.run import ServeConfig  # loads torch: after the server has answered
    from components.serve.run import serve as run

    trial = TrialConfig(challenger, canary, shadow, log, LogConfig(log_rate, file_seconds=log_seconds))
    config = ServeConfig(host, port, alias, version, every, engine, threads, waiting, time_limit, drain, trial)
    folder = usable(workspace)
    with stoppable(), temporary_files_in(folder):
        run(models, folder / "cache" / "models", config, lambda url: print(f"serving at {url}", flush=True))
