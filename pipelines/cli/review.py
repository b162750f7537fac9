"""`mmctr review` and `mmctr rollback`: a person decides which version serves."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from components.review.decide import DecisionResult
    from components.tracking.models import Models

review_app = typer.Typer(
    no_args_is_help=True, help="Look at candidates, approve or reject them. Every decision is kept."
)

Name = Annotated[str, typer.Option("--name", help="The registered model.")]
Workspace = Annotated[Path, typer.Option(help="Where the local registry lives, when MLFLOW_TRACKING_URI is not set.")]
Version = Annotated[int, typer.Argument(help="The version's number, as `mmctr review list` shows it.")]
By = Annotated[str, typer.Option("--by", help="Who decides.")]
Note = Annotated[str, typer.Option("--note", help="Why.")]

_COLOURS = {"approved": "green", "pending": "yellow", "rejected": "red", "rolled_back": "magenta"}


@review_app.command("list")
def list_versions(name: Name = "mmctr", workspace: Workspace = Path(".mmctr")) -> None:
    """Show every version: what it reached, what it was compared with, what was decided.

    Example: `mmctr review list`
    """
    from components.review.decide import survey
    from components.tracking.tags import COMPARED_WITH

    registry, mended = survey(_models(name, workspace))
    console = _tell(mended)
    if not registry.versions:
        console.print(f"{name} has no version yet; `mmctr run` registers one when it passes the gate.")
        return
    table = Table("version", "aliases", "status", "compared with", "what", "decision", box=None, header_style="bold")
    for number, version in sorted(registry.versions.items(), reverse=True):
        aliases = ", ".join(sorted(alias for alias, at in registry.aliases.items() if at == number))
        status, found = registry.status(number), registry.book.decision_on(number)
        decision = f"{found[0]}: {found[1].sentence()}" if found else ""
        table.add_row(
            str(number), aliases, f"[{_COLOURS.get(status, 'white')}]{escape(status)}[/]",
            escape(version.tags.get(COMPARED_WITH, "")), escape(version.description), escape(decision),
        )  # fmt: skip
    console.print(table)
    void = f", {len(registry.book.void)} more came second and do not count" if registry.book.void else ""
    head = registry.book.hashes[registry.book.head][:16] or "none"
    console.print(f"\n{len(registry.book.decisions)} decisions{void}; head hash {head}")


@review_app.command("show")
def show_version(version: Version, name: Name = "mmctr", workspace: Workspace = Path(".mmctr")) -> None:
    """Show one version: its verdict rule by rule, what it was made of, and what was decided about it.

    Example: `mmctr review show 7`
    """
    from components.review.decide import inspect

    seen = inspect(_models(name, workspace), version)
    console = _tell(seen["mended"])
    status = seen["registry"].status(version)
    console.print(f"[bold]{name} version {version}[/] [{_COLOURS.get(status, 'white')}]{escape(status)}[/]")
    console.print(escape(seen["version"].description), "\n")
    console.print(escape(seen["verdict"].get("summary", "")))
    console.print(_rules(seen["verdict"].get("rules", [])), "\n")
    lineage = Table(box=None, show_header=False)
    for key, value in sorted(seen["version"].tags.items()):
        lineage.add_row(f"[dim]{escape(key)}[/]", escape(value))
    console.print(lineage)
    for number, decision in seen["decisions"].items():
        console.print(f"\ndecision {number}, {decision.at}: {escape(decision.sentence())}")


@review_app.command("approve")
def approve_version(
    version: Version, by: By, note: Note, name: Name = "mmctr", workspace: Workspace = Path(".mmctr")
) -> None:
    """Make a version the champion, after its gate, its files and the champion it was compared with are checked again.

    Example: `mmctr review approve 7 --by "Ada" --note "better on new items, calibration holds"`
    """
    from components.review.decide import Reviewer, approve

    _conclude(approve(_models(name, workspace), version, Reviewer(by, note)))


@review_app.command("reject")
def reject_version(
    version: Version, by: By, note: Note, name: Name = "mmctr", workspace: Workspace = Path(".mmctr")
) -> None:
    """Reject a pending version; the champion stays.

    Example: `mmctr review reject 7 --by "Ada" --note "worse for users with short histories"`
    """
    from components.review.decide import Reviewer, reject

    _conclude(reject(_models(name, workspace), version, Reviewer(by, note)))


@review_app.command("listen")
def listen(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any.")] = 8099,
    name: Name = "mmctr",
    workspace: Workspace = Path(".mmctr"),
) -> None:
    """Approve versions that get the tag `mmctr.promote` in MLflow, told by its signed webhook.

    The secret that MLflow signs with stands in MMCTR_WEBHOOK_SECRET. The webhook's event is `model_version_tag.set`.

    Example: `mmctr review listen --host 0.0.0.0 --port 8099`
    """
    import logging

    from components.review.webhook import SECRET_VARIABLE, Gatekeeper, Receiver

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    gatekeeper = Gatekeeper(os.environ.get(SECRET_VARIABLE, ""))
    receiver = Receiver(_models(name, workspace), gatekeeper, host, port)
    Console(highlight=False).print(f"listening at {receiver.url} for {name}; stop with Ctrl-C")
    try:
        receiver.run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def rollback(
    by: By,
    note: Note,
    forward: Annotated[bool, typer.Option(help="Undo a rollback: return to the version it took away.")] = False,
    name: Name = "mmctr",
    workspace: Workspace = Path(".mmctr"),
) -> None:
    """Go back to the previous champion, at once.

    Example: `mmctr rollback --by "Ada" --note "click rate fell since noon"`
    """
    from components.review.decide import Reviewer
    from components.review.decide import rollback as roll_back

    _conclude(roll_back(_models(name, workspace), Reviewer(by, note), forward))


def _models(name: str, workspace: Path) -> "Models":
    from components.tracking.models import Models
    from components.tracking.server import connect, tracking_uri

    return Models(connect(tracking_uri(workspace)), name)


def _tell(mended: list[str]) -> Console:
    console = Console(highlight=False)
    for sentence in mended:
        console.print(f"[yellow]mended:[/] {escape(sentence)}")
    return console


def _conclude(outcome: "DecisionResult") -> None:
    console = _tell(outcome.mended)
    previous = f", the previous one {outcome.previous}" if outcome.previous else ""
    console.print(f"{escape(outcome.sentence)} The champion is version {outcome.champion or 'none'}{previous}.")


def _rules(rules: list[dict[str, Any]]) -> Table:
    table = Table("", "rule", "what was seen", box=None, header_style="bold")
    for rule in rules:
        passed = "[green]pass[/]" if rule["passed"] else "[red]fail[/]"
        table.add_row(passed, escape(rule["title"]), escape(rule["sentence"]))
    return table
