"""The table of docs/explanation/reliability.md, between its markers, from the raw results of `make chaos`:

    python -m benchmarks.reliability

Each family of faults has a file in benchmarks/results/chaos. A family whose run was broken off is shown as such.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.markers import filled, write_document
from components.storage.files import read_json

RESULTS = Path("benchmarks/results/chaos")
PAGE = Path("docs/explanation/reliability.md")
FAMILIES = {
    "kills": "processes killed during `mmctr run`",
    "corruptions": "files damaged",
    "races": "eight processes at once",
    "servers": "servers lost and back",
    "disk": "full disk",
}
OUTCOMES = ("recovered", "told", "wrong")


def table(families: dict[str, dict[str, Any]]) -> list[str]:
    """One row for each kind of fault, and below it where each family was measured."""
    lines = [
        "| faults | kind | tried | as without the fault | one clear line | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for family, results in families.items():
        counts: dict[str, Counter[str]] = {}
        for fault in results["faults"]:
            counts.setdefault(fault["kind"], Counter())[fault["outcome"]] += 1
        for kind, outcomes in sorted(counts.items(), key=lambda kind: _place(kind[0])):
            lines.append(_row("", kind, outcomes))
        total = sum(counts.values(), Counter[str]())
        lines.append(_row(f"**{FAMILIES[family]}**", "**all**", total))
    return [*lines, "", *(_where(family, results) for family, results in families.items())]


def _place(kind: str) -> tuple[int, str]:
    """Amounts by size, everything else by name."""
    number = kind.partition(" ")[0]
    return int(number) if number.isdecimal() else 0, kind


def _row(family: str, kind: str, outcomes: Counter[str]) -> str:
    numbers = [outcomes.total(), *(outcomes[outcome] for outcome in OUTCOMES)]
    return f"| {family} | {kind} | {' | '.join(map(str, numbers))} |"


def _where(family: str, results: dict[str, Any]) -> str:
    machine = results["machine"]
    end = "" if results["complete"] else " The run was broken off before its end."
    return (
        f"- {FAMILIES[family]}: {machine['date']}, commit {machine['commit']}, seed {results['seed']}, "
        f"{machine['cpu']}, {machine['cores']} cores, load average {machine['load_average']} at the start.{end}"
    )


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    return {name: read_json(folder / f"{name}.json") for name in FAMILIES if (folder / f"{name}.json").is_file()}


def page(folder: Path = RESULTS, path: Path = PAGE) -> str:
    return filled(path.read_text(), "chaos", table(measured(folder)), path)


if __name__ == "__main__":
    write_document(PAGE, page())
