"""What a person sees while a run works, and after it."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from pipelines.local import Event


class RunScreen:
    """Draws the events of a run: a line for each step that ended, bars for what is under way."""

    def __init__(self, log: Path, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.log = log
        self.failure: tuple[str, str] | None = None
        self.summary: Event = {}
        self._step = ""
        self._started: dict[str, float] = {}
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("    {task.description}"),
            BarColumn(bar_width=30),
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
        elif kind == "summary":
            self.summary = event

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

    def interrupted(self) -> None:
        self.console.print(
            f"  [yellow]stopped[/yellow] in {self._step or 'the pipeline'}; the same command goes on from there"
        )

    def conclude(self, found: dict[str, Any], seconds: float) -> None:
        """The last lines: what was registered and where to read why, or what failed and what to do."""
        say = self.console.print
        say()
        if self.failure:
            step, cause = self.failure
            say(f"[red]failed[/red]     {step}: {escape(cause)}", soft_wrap=True)
            say(f"log        {self.log}", soft_wrap=True)
            say("nothing was registered; mend the cause and run the same command again")
            return
        verdict, metrics = found.get("verdict"), found.get("metrics")
        if verdict is None:
            say(f"[red]failed[/red]     the pipeline ended without a verdict; its log: {self.log}", soft_wrap=True)
            return
        if registration := found.get("registration"):
            say(
                f"[bold]registered[/bold] {registration['name']} version {registration['version']}, "
                f"alias {registration['alias']}, validation {registration['validation_status']}"
            )
        say(f"gate       {'[green]pass[/green]' if verdict['passed'] else '[red]fail[/red]: the champion stays'}")
        for rule in verdict["rules"]:
            if not rule["passed"]:
                say(f"           {escape(rule['sentence'])}", soft_wrap=True)
        if metrics:
            say(f"AUC        {_auc(metrics)}")
        say(f"report     {found['report']}", soft_wrap=True)
        say(f"took       {seconds:.0f} s")
        if registration:
            say(f"next       mmctr review show {registration['version']}")


def _auc(metrics: dict[str, Any]) -> str:
    auc = metrics["candidate"]["auc"]
    return f"{auc['value']:.4f} [dim](95% interval {auc['low']:.4f} to {auc['high']:.4f})[/dim]"
