"""The command line, `mmctr`. One module a topic; heavy imports wait until a command needs them."""

import errno
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from components.errors import StepError
from pipelines.cli.canary import app as canary_app
from pipelines.cli.cluster import compile_pipeline, submit
from pipelines.cli.data import data_app, import_app
from pipelines.cli.doctor import doctor
from pipelines.cli.init import init
from pipelines.cli.items import app as items_app
from pipelines.cli.predict import predict
from pipelines.cli.replay import replay
from pipelines.cli.review import review_app, rollback
from pipelines.cli.run import run
from pipelines.cli.schedule import app as schedule_app
from pipelines.cli.serve import serve
from pipelines.cli.study import study_command
from pipelines.cli.ui import ui

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Keeps a multimodal click-through-rate model fresh: validate, embed, train, measure, review, register.",
    epilog="Start with `mmctr run`; it ends with the path of a report and with the next command. Each command's "
    "`--help` has examples. Exit status: 0 done · 1 failed · 2 wrong use · 3 the gate failed (`run`), "
    "or the answer is no (`canary`) · 130 Ctrl-C.",
)
# What is wrong with a disk or a path, and not with the program.
_OF_A_DISK = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
_TRAIN, _REVIEW, _DATA, _CLUSTER = "Train", "Review and serve", "Data", "Kubeflow"
app.command(rich_help_panel=_TRAIN)(run)
app.command("study", rich_help_panel=_TRAIN)(study_command)
app.command(rich_help_panel=_TRAIN)(replay)
app.command(rich_help_panel=_TRAIN)(doctor)
app.add_typer(review_app, name="review", rich_help_panel=_REVIEW)
app.command(rich_help_panel=_REVIEW)(rollback)
app.command(rich_help_panel=_REVIEW)(predict)
app.command(rich_help_panel=_REVIEW)(serve)
app.add_typer(items_app, name="items", rich_help_panel=_REVIEW)
app.add_typer(canary_app, name="canary", rich_help_panel=_REVIEW)
app.command(rich_help_panel=_REVIEW)(ui)
app.command(rich_help_panel=_DATA)(init)
app.add_typer(data_app, name="data", rich_help_panel=_DATA)
app.add_typer(import_app, name="import", rich_help_panel=_DATA)
app.command("compile", rich_help_panel=_CLUSTER)(compile_pipeline)
app.command(rich_help_panel=_CLUSTER)(submit)
app.add_typer(schedule_app, name="schedule", rich_help_panel=_CLUSTER)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"mmctr {version('mmctr')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs a command. An error that a person can correct is shown as one line, without a traceback."""
    try:
        app()
    except StepError as error:
        print(f"mmctr: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except ValueError as error:
        print(f"mmctr: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in _OF_A_DISK:
            raise
        print(f"mmctr: {error.filename2 or error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
