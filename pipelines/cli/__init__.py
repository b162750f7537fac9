"""The command line, `mmctr`. One module a topic; heavy imports wait until a command needs them."""

import sys

import typer

from components.errors import StepError
from pipelines.cli.cluster import compile_pipeline, submit
from pipelines.cli.doctor import doctor
from pipelines.cli.run import run
from pipelines.cli.schedule import app as schedule

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Keeps a multimodal click-through-rate model fresh: validate, embed, train, measure, review, register.",
    epilog="Start with `mmctr run`; it ends with the path of a report. Exit codes: 0 done, 1 failed, 2 wrong use.",
)
app.command()(run)
app.command("compile")(compile_pipeline)
app.command()(submit)
app.add_typer(schedule, name="schedule")
app.command()(doctor)


def main() -> None:
    """Runs a command; what a person can mend is one line, without a traceback."""
    try:
        app()
    except StepError as error:
        print(f"mmctr: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except ValueError as error:
        print(f"mmctr: {error}", file=sys.stderr)
        raise SystemExit(2) from None
