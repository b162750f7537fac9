"""What a person sees while a run works, and after it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from components.errors import redacted
from components.tracking.server import tracking_uri
from pipelines.local import Event

Found = Mapping[str, Any]  # what a run left behind, by the artifact's name


class RunScreen:
    """Draws the events of a run: a line for each step that ended, bars for what is under way."""

    def __init__(self, log: Path, workspace: Path, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.log, self.workspace = log, workspace
        self.failure: tuple[str, str] | None = None
        self._step = ""
        self._started: dict[str, float] = {}
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("    {task.description}"),
            BarColumn(bar_width=30 if self.console.width >= 100 else 10),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[rate]}[/dim]"),
            TimeRemainingColumn(compact=True),
        )
        self._live = Live(get_renderable=self._render, console=self.console, transient=True, refresh_per_second=8)

    def __enter__(self) -> "RunScreen":
        self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._live.__exit__(*exception)

    def show(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "step":
            self._show_step(event)
        elif kind == "progress":
            self._show_progress(event)

    def _show_step(self, event: Event) -> None:
        name, state = event["name"], event["state"]
        if state == "started":
            self._step = name
            self._started[name] = event["time"]
            return
        seconds = event["time"] - self._started.get(name, event["time"])
        if state == "failed":
            self.failure = (name, event["cause"])
        mark = "[green]✓[/green]" if state == "finished" else "[red]✗[/red]"
        self.console.print(f"  {mark} {name:<16}[dim]{seconds:6.1f} s[/dim]")
        self._step = ""
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._bars.clear()

    def _show_progress(self, event: Event) -> None:
        name = event["name"]
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(escape(name), total=event["total"], rate="")
        rate = f"{event['rate']:,.0f} {event['unit']}/s {event['note']}" if event["rate"] else ""
        self._progress.update(self._bars[name], completed=event["done"], total=event["total"], rate=escape(rate))

    def _render(self) -> Group:
        if not self._step:
            return Group()
        seconds = time.time() - self._started[self._step]
        return Group(Text(f"  ● {self._step:<16}{seconds:6.1f} s"), self._progress)

    def say_another_is_at_work(self, run: Path) -> None:
        self._say(
            f"  another run is at work in this workspace: {run.name}; where both make the same thing, one waits "
            "for the other and takes what it made"
        )

    def interrupted(self) -> None:
        self._say(f"  [yellow]stopped[/yellow] in {self._step or 'the pipeline'}; the same command goes on from there")

    def conclude(self, found: Found, seconds: float, status: int) -> None:
        """The last lines: what was registered and where to read why, or what failed; and what to do next."""
        self._say("")
        if status != 0:
            step, cause = self.failure or self._unexplained(status)
            self._say(f"[red]failed[/red]     {step}: {escape(cause)}")
            self._say(f"log        {self.log}")
            self._say("next       nothing was registered; mend the cause and run the same command again")
            return
        verdict, registration = found["verdict"], found.get("registration")
        if registration:
            self._say(_registered(registration))
        self._say(
            f"gate       {'[green]pass[/green]' if verdict['passed'] else '[red]fail[/red]: nothing is registered'}"
        )
        for rule in verdict["rules"]:
            if not rule["passed"]:
                self._say(f"           {escape(rule['sentence'])}")
        auc = found["metrics"]["candidate"]["auc"]
        self._say(f"AUC        {auc['value']:.4f} [dim](95% interval {auc['low']:.4f} to {auc['high']:.4f})[/dim]")
        self._say(f"report     {found['report']}")
        self._say(f"registry   {redacted(tracking_uri(self.workspace))}")
        self._say(f"took       {seconds:.0f} s")
        self._say(f"next       {self._next(verdict, registration)}")

    def _next(self, verdict: Mapping[str, Any], registration: Mapping[str, Any] | None) -> str:
        where = "" if self.workspace == Path(".mmctr").resolve() else f" --workspace {self.workspace}"
        pages = f"mmctr ui{where} (the registry's pages)"
        if registration and registration["validation_status"] == "pending":
            return f"mmctr review show {registration['version']}{where}, or {pages}"
        if verdict["passed"]:
            return pages
        return (
            "read in the report by how much the rules failed, then try other data, `--preset` or `--set`; the limits "
            "are the fields gate.* and the file of `--policy`"
        )

    def _unexplained(self, status: int) -> tuple[str, str]:
        """What to say about a step that failed without a recorded cause: it was killed."""
        if self._step:
            return self._step, "its process ended without giving a reason; the system kills one when memory runs out"
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        return "the pipeline", f"its process ended without giving a reason ({how})"

    def _say(self, text: str) -> None:
        """Does not break long lines: a script may search them, and a terminal wraps them."""
        self.console.print(text, soft_wrap=True)


def _registered(registration: Mapping[str, Any]) -> str:
    name, version, status = (registration[field] for field in ("name", "version", "validation_status"))
    if registration["new"]:
        return f"[bold]registered[/bold] {name} version {version}, alias {registration['alias']}, validation {status}"
    stands = {
        "champion": "is the champion already",
        "challenger": "waits for review already",
    }.get(registration["alias"], f"is there already, {status}")
    return f"[bold]unchanged[/bold]  {name} version {version} {stands}; nothing new was registered"
