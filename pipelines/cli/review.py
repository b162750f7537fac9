"""`mmctr review` and `mmctr rollback`: a person decides which version serves."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pipelines.cli.options import WorkspaceOption
from pipelines.cli.stopping import stoppable

if TYPE_CHECKING:
    from components.review.decide import DecisionResult
    from components.review.settle import Registry
    from components.tracking.models import Models

review_app = typer.Typer(
    no_args_is_help=True, help="Look at candidates, approve or reject them. Every decision is kept."
)

Name = Annotated[str, typer.Option("--name", help="The registered model.")]
Version = Annotated[int | None, typer.Argument(help="The version's number, as `mmctr review list` shows it.")]
Run = Annotated[str | None, typer.Option("--run", help="In place of the number: the pipeline run that made it.")]
By = Annotated[str, typer.Option("--by", help="Who decides.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON alone, for programs.")]
Note = Annotated[str, typer.Option("--note", help="Why.")]

_COLOURS = {"approved": "green", "pending": "yellow", "rejected": "red", "rolled_back": "magenta"}


@review_app.command("list")
def list_versions(name: Name = "mmctr", workspace: WorkspaceOption = Path(".mmctr"), as_json: AsJson = False) -> None:
    """Show every version: what it reached, what it was compared with, what was decided.

    Examples: `mmctr review list` · `mmctr review list --json`
    """
    from components.review.decide import survey
    from components.tracking.anchor import ANCHOR_VARIABLE, anchor_of

    with _registered(name, workspace) as models:
        registry, mended = survey(models)
    anchor = anchor_of(registry.models.server, name)
    book, newest_first = registry.book, sorted(registry.versions, reverse=True)
    versions = [_version(registry, number) for number in newest_first]
    if as_json:
        counts = {"decisions": len(book.decisions), "void": len(book.void), "head_hash": book.hashes[book.head] or None}
        proof = anchor and anchor.location
        _print_json({"name": name, "versions": versions, **counts, "proof": proof, "mended": mended})
        return
    console = _tell(mended)
    if not versions:
        console.print(f"{escape(name)} has no version yet; `mmctr run` registers one when it passes the gate.")
        return
    for version in versions:
        console.print(_headline(f"version {version['version']}", version))
        first = version["description"].partition("\n")[0]
        console.print(f"  compared with {escape(version['compared_with'] or 'n/a')}: {escape(first)}")
        if latest := version["decision"]:
            console.print(f"  decision {latest['number']}: {escape(latest['sentence'])}")
    does = "does" if len(book.void) == 1 else "do"
    void = f", {len(book.void)} more came second and {does} not count" if book.void else ""
    noun = "decision" if len(book.decisions) == 1 else "decisions"
    console.print(f"\n{len(book.decisions)} {noun}{void}; head hash {book.hashes[book.head] or 'none'}")
    where = f"kept at {anchor.location}" if anchor else f"kept nowhere, because {ANCHOR_VARIABLE} is not set"
    console.print(f"proof outside the registry: {escape(where)}")


@review_app.command("show")
def show_version(
    version: Version = None,
    run: Run = None,
    name: Name = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
    as_json: AsJson = False,
) -> None:
    """Show one version: its verdict rule by rule, its report and run, what it was made of, and what was decided.

    Examples: `mmctr review show 7` · `mmctr review show 7 --json`
    """
    from components.diagnosis.finding import warnings_of
    from components.review.decide import inspect
    from components.tracking.tags import FACTS, facts_of

    with _registered(name, workspace) as models:
        version = _number(models, version, run)
        seen = inspect(models, version)
    shown, verdict = _version(seen["registry"], version), seen["verdict"]
    tags, decisions = dict(sorted(seen["version"].tags.items())), seen["decisions"]
    facts = {name: value for name, value in sorted(facts_of(tags).items()) if f"mmctr.{name}" not in tags}
    if as_json:
        about = {key: seen[key] for key in ("run", "report", "verdict", "metrics", "mended")}
        every = [{"number": number, **asdict(decision)} for number, decision in decisions.items()]
        _print_json({"name": name, **shown, **about, "tags": tags, "facts": facts, "decisions": every})
        return
    console = _tell(seen["mended"])
    console.print(_headline(f"{name} version {version}", shown))
    console.print(escape(shown["description"].partition("\n")[0]))
    console.print(f"report  {escape(seen['report'] or 'n/a: the run that made the version holds none')}")
    console.print(f"run     {escape(seen['run'] or 'n/a: MLflow shows no run for the version')}\n")
    console.print(escape(verdict.get("summary", "")))
    for rule in verdict.get("rules", []):
        console.print(f"{_mark(rule)}  [bold]{escape(rule['title'])}[/]: {escape(rule['sentence'])}")
    for warning in warnings_of(seen["metrics"]):
        console.print(f"[yellow]warns[/]  [bold]{escape(warning['title'])}[/]: {escape(warning['sentence'])}")
    console.print()
    for key, value in {**{key: value for key, value in tags.items() if key != FACTS}, **facts}.items():
        console.print(f"[dim]{escape(key)}[/]  {escape(value)}")
    for number, decision in decisions.items():
        console.print(f"\ndecision {number}, {escape(decision.at)}: {escape(decision.sentence())}")


@review_app.command("approve")
def approve_version(
    by: By,
    note: Note,
    version: Version = None,
    run: Run = None,
    name: Name = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Make a version the champion, after its gate, its files and the champion it was compared with are checked again.

    Example: `mmctr review approve 7 --by "Ada" --note "better on new items, calibration holds"`
    """
    from components.review.decide import Reviewer, approve

    reviewer = Reviewer(by, note)
    with _saying_what_an_interrupt_left(), _registered(name, workspace) as models:
        outcome = approve(models, _number(models, version, run), reviewer)
    _conclude(outcome)


@review_app.command("reject")
def reject_version(
    by: By,
    note: Note,
    version: Version = None,
    run: Run = None,
    name: Name = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Reject a pending version; the champion stays.

    Example: `mmctr review reject 7 --by "Ada" --note "worse for users with short histories"`
    """
    from components.review.decide import Reviewer, reject

    reviewer = Reviewer(by, note)
    with _saying_what_an_interrupt_left(), _registered(name, workspace) as models:
        outcome = reject(models, _number(models, version, run), reviewer)
    _conclude(outcome)


def rollback(
    by: By,
    note: Note,
    forward: Annotated[bool, typer.Option(help="Undo a rollback: return to the version it took away.")] = False,
    name: Name = "mmctr",
    workspace: WorkspaceOption = Path(".mmctr"),
) -> None:
    """Go back to the previous champion, at once.

    Example: `mmctr rollback --by "Ada" --note "click rate fell since noon"`
    """
    from components.review.decide import Reviewer
    from components.review.decide import rollback as roll_back

    reviewer = Reviewer(by, note)
    with _saying_what_an_interrupt_left(), _registered(name, workspace) as models:
        outcome = roll_back(models, reviewer, forward)
    _conclude(outcome)


@contextmanager
def _registered(name: str, workspace: Path) -> Iterator["Models"]:
    from components.tracking.models import Models
    from components.tracking.server import connect, existing_registry
    from pipelines.workspace import temporary_files_in

    server = connect(existing_registry(workspace))
    with temporary_files_in(workspace):
        yield Models(server, name)


def _number(models: "Models", version: int | None, run: str | None) -> int:
    from components.tracking.runs import version_of

    if (version is None) == (run is None):
        raise ValueError("name one version: by its number, or by --run and the pipeline run that made it")
    return version if version is not None else version_of(models.server, str(run), models.name)


@contextmanager
def _saying_what_an_interrupt_left() -> Iterator[None]:
    """After Ctrl-C the reviewer must know whether the decision counts; `decide` notes it once it wrote to the log."""
    with stoppable():
        try:
            yield
        except KeyboardInterrupt as interrupt:
            notes = getattr(interrupt, "__notes__", ["nothing was decided"])
            print(f"mmctr: stopped; {notes[0]}", file=sys.stderr)
            raise


def _tell(mended: list[str]) -> Console:
    console = Console(highlight=False, emoji=False, soft_wrap=True)  # soft_wrap: no text is cut at the terminal's width
    for sentence in mended:
        console.print(f"[yellow]mended:[/] {escape(sentence)}")
    return console


def _conclude(outcome: "DecisionResult") -> None:
    console = _tell(outcome.mended)
    previous = f", the previous one {outcome.previous}" if outcome.previous else ""
    console.print(f"{escape(outcome.sentence)} The champion is version {outcome.champion or 'none'}{previous}.")


def _version(registry: "Registry", number: int) -> dict[str, Any]:
    from components.tracking.tags import COMPARED_WITH

    version, latest = registry.versions[number], registry.book.decision_on(number)
    return {
        "version": number,
        "status": registry.status(number),
        "aliases": sorted(alias for alias, at in registry.aliases.items() if at == number),
        "compared_with": version.tags.get(COMPARED_WITH),
        "description": version.description,
        "decision": latest and {"number": latest[0], "sentence": latest[1].sentence()},
    }


def _headline(title: str, version: dict[str, Any]) -> str:
    status, aliases = version["status"], escape(", ".join(version["aliases"]))
    return f"[bold]{escape(title)}[/] [{_COLOURS.get(status, 'white')}]{escape(status)}[/] {aliases}".rstrip()


def _mark(rule: dict[str, Any]) -> str:
    if not rule["passed"]:
        return "[red]fail[/]"
    return "[green]pass[/]" if rule.get("applies", True) else "[dim]n/a[/] "


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))
