"""What a person sees of a replay: a bar for each policy at work, a line for each that ended, and the advice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape

from pipelines.cli.study_screen import Event, StudyScreen


class ReplayScreen(StudyScreen):
    """The bars of a study, for policies instead of cells."""

    def show(self, event: Event) -> None:
        if event["kind"] == "replay data":
            data = event["data"]
            self._clear()
            self.console.print(
                f"  [green]✓[/green] {data['rows']:,} rows from {data['first_day']} to {data['last_day']}"
            )
        else:
            super().show(event)

    def _ended(self, event: Event) -> str:
        return f"{event['cell']}: {event['figures']['promoted']} models served"

    def remaining(self) -> float | None:
        return None  # policies differ too much in how often they train

    def interrupted(self) -> None:
        self.console.print(
            "  [yellow]stopped[/yellow]; finished nights are kept, and the same command goes on from there"
        )

    def report(self, results: Mapping[str, Any], out: Path) -> None:
        say = self.console.print
        say()
        for policy in results["policies"]:
            auc = "served nothing" if policy["auc"] is None else f"AUC {policy['auc']['value']:.4f}"
            say(f"  {escape(policy['name']):<32}{auc}, {policy['cpu_minutes']:.2f} CPU minutes a night")
        say(escape(results["advice"]["sentence"]), soft_wrap=True)
        for failure in results["failed"]:
            say(f"[red]failed[/red]     {escape(failure['policy'])}: {escape(failure['message'])}", soft_wrap=True)
        say(f"report     {out / 'report.html'}", soft_wrap=True)
