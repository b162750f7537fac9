"""The table of small mistakes in docs/explanation/reliability.md, from the raw results of `make mutants`:

python -m benchmarks.mutants
"""

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.markers import filled, write_document
from benchmarks.reliability import PAGE
from components.storage.files import read_json

RESULTS = Path("benchmarks/results/mutants.json")
NOTICED = ("killed", "timeout")


def table(mutants: list[dict[str, Any]]) -> list[str]:
    """One row for each room, and below it each mistake that no test noticed or can notice."""
    rooms: dict[str, list[dict[str, Any]]] = {}
    for mutant in mutants:
        rooms.setdefault(str(Path(mutant["file"]).parent), []).append(mutant)
    commits = Counter(mutant["commit"] for mutant in mutants)
    return [
        "| room | tried | changes nothing | noticed at first | noticed now | not noticed |",
        "|---|---|---|---|---|---|",
        *(_row(f"`{room}`", those) for room, those in sorted(rooms.items())),
        _row("**all**", mutants),
        "",
        *_listed("Not noticed", [m for m in mutants if m["end"] not in (*NOTICED, "equivalent")]),
        *_listed("The program does the same with these", [m for m in mutants if m["end"] == "equivalent"]),
        f"Commits (mistakes tried): {', '.join(f'{commit} ({count})' for commit, count in sorted(commits.items()))}.",
    ]


def _row(room: str, mutants: list[dict[str, Any]]) -> str:
    real = [mutant for mutant in mutants if mutant["end"] != "equivalent"]
    first, now = (sum(mutant[when] in NOTICED for mutant in real) for when in ("at_first", "end"))
    share = f" ({100 * now / len(real):.0f}%)" if real else ""
    return f"| {room} | {len(mutants)} | {len(mutants) - len(real)} | {first} | {now}{share} | {len(real) - now} |"


def _listed(title: str, mutants: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"- `{mutant['file']}`, line {mutant['line']}: `{_short(mutant['before'])}` became "
        f"`{_short(mutant['after']) or 'nothing'}`. {mutant.get('reason', '')}".strip()
        for mutant in mutants
    ]
    return [f"{title}:", "", *lines, ""] if lines else []


def _short(code: str) -> str:
    line = " ".join(code.split())
    return line if len(line) <= 90 else f"{line[:87]}..."


def page(results: Path = RESULTS, path: Path = PAGE) -> str:
    return filled(path.read_text(), "mutants", table(read_json(results)["mutants"]), path)


if __name__ == "__main__":
    write_document(PAGE, page())
