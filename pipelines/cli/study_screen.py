"""What a person sees of a study: a line for each cell that ended, bars for those at work, and how long it will take."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

Event = dict[str, Any]


class StudyScreen:
    """Draws the events of a study."""

    def __init__(self, jobs: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.jobs = jobs
        self.total = self.done = 0
        self._phase, self._since = "", 0.0
        self._seconds: dict[str, list[float]] = defaultdict(list)  # by arm, of the cells that ended here
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("    {task.description}"), BarColumn(bar_width=30), TextColumn("[dim]{task.fields[note]}[/dim]")
        )
        self._live = Live(get_renderable=self._render, console=self.console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._live.__exit__(*exception)

    def show(self, event: Event) -> None:
        drawn = {
            "preparing": self._preparing,
            "prepared": self._prepared,
            "cells": self._cells,
            "cell": self._cell,
            "progress": self._work,
            "untracked": self._untracked,
        }
        if draw := drawn.get(event["kind"]):
            draw(event)

    def remaining(self) -> float | None:
        """Seconds until the last cell, by what cells took so far."""
        took = [seconds for arm in self._seconds.values() for seconds in arm]
        return (self.total - self.done) * sum(took) / len(took) / self.jobs if took else None

    def _preparing(self, _: Event) -> None:
        self._phase, self._since = "preparing the data", time.monotonic()

    def _prepared(self, event: Event) -> None:
        rows = event["rows"]
        used = (
            f"{rows['used']:,} of {rows['train']:,} train rows"
            if rows["used"] < rows["train"]
            else (f"{rows['used']:,} train rows")
        )
        self._clear()
        self._say(f"data: {used}, measured on {event['split']}", time.monotonic() - self._since)
        if event["split"] != "test":
            self.console.print(f"    [yellow]{escape(event['note'])}[/yellow]", soft_wrap=True)

    def _cells(self, event: Event) -> None:
        self.total, self.done = event["total"], event["finished"]
        if self.done:
            self.console.print(f"  [green]✓[/green] {self.done} of {self.total} cells were there already")
        self._phase, self._since = "cells", time.monotonic()

    def _cell(self, event: Event) -> None:
        name = event["cell"]
        if event["state"] == "started":
            self._bar(name)
            return
        self._progress.remove_task(self._bars.pop(name))
        self.done += 1
        if event["state"] == "failed":
            self.console.print(f"  [red]✗[/red] {escape(name)}: {escape(event['cause'])}", soft_wrap=True)
            return
        self._seconds[name.rpartition(",")[0]].append(event["seconds"])
        self._say(self._ended(event), event["seconds"])

    def _ended(self, event: Event) -> str:
        return f"{event['cell']}: AUC {event['figures']['auc']:.4f}"

    def _work(self, event: Event) -> None:
        bar = self._bar(event.get("cell") or event["name"])
        note = f"{event['name']}, {event['rate']:,.0f} {event['unit']}/s" if event["rate"] else event["name"]
        self._progress.update(bar, completed=event["done"], total=max(1, event["total"]), note=escape(note))

    def _untracked(self, event: Event) -> None:
        self.console.print(f"  [yellow]MLflow lacks some cells[/yellow]: {escape(event['cause'])}", soft_wrap=True)

    def _bar(self, name: str) -> TaskID:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(escape(name), total=1, note="")
        return self._bars[name]

    def _clear(self) -> None:
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._bars.clear()

    def _say(self, what: str, seconds: float) -> None:
        self.console.print(f"  [green]✓[/green] {escape(what):<52}[dim]{seconds:7.1f} s[/dim]")

    def _render(self) -> Group:
        if not self._phase:
            return Group()
        words = f"  ● {self._phase}"
        if self.total:
            left = self.remaining()
            words += f": {self.done} of {self.total}" + (f", {duration(left)} left" if left else "")
        return Group(Text(words), self._progress)

    def interrupted(self) -> None:
        self.console.print(
            f"  [yellow]stopped[/yellow] with {self.done} of {self.total} cells done; "
            "the same command goes on from there"
        )

    def conclude(self, out: Path, failed: Mapping[str, str]) -> None:
        """The last lines: each arm, each comparison, and where the report is."""
        results = json.loads((out / "results.json").read_text())
        say = self.console.print
        say()
        for arm in results["arms"]:
            say(f"  {escape(arm['name']):<32}{_auc(arm['auc'])}")
        for found in results["comparisons"]:
            say(
                f"  {escape(found['arm'])} minus {escape(found['against'])}: {found['difference']:+.4f}, "
                f"{found['verdict']} [dim](Holm p {found['p_holm']:.2g})[/dim]",
                soft_wrap=True,
            )
        for name, cause in failed.items():
            say(f"[red]failed[/red]     {escape(name)}: {escape(cause)}", soft_wrap=True)
        say(f"report     {out / 'report.html'}", soft_wrap=True)


def _auc(auc: Mapping[str, Any] | None) -> str:
    if auc is None:
        return "[red]no cell finished[/red]"
    return f"AUC {auc['mean']:.4f}" + (f" ± {auc['sd']:.4f}" if auc["sd"] is not None else "")


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min" if minutes else "seconds"
