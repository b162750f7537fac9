"""`make mutants`: how many small mistakes in the consequential modules the fast tests notice.

    python -m tests.mutants [--per-module 3] [--seed 1] [--jobs 2] [components/gate model/losses.py ...]

The mutations of each module are drawn by the seed. The table is written to benchmarks/results/mutants.json. Mutations
that no test can notice are listed with the reason in equivalent.yaml.
"""

import argparse
import json
import os
import random
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.update(GX_ANALYTICS_ENABLED="false", MLFLOW_DISABLE_TELEMETRY="true", DVC_NO_ANALYTICS="true")
os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")

import yaml

from tests.mutants.mutations import mutations
from tests.mutants.runner import ROOT, End, Mutant, run

RESULT = ROOT / "benchmarks/results/mutants.json"
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")
STEPS = ("ingest", "validate", "embed", "decide", "train", "evaluate", "gate", "register", "review")
ROOMS = (
    "model",
    *(f"components/{room}" for room in ("batches", "statistics", *STEPS)),
    "pipelines/schedule",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("paths", nargs="*", default=ROOMS, help="folders or modules; the consequential rooms if none")
    parser.add_argument("--per-module", type=int, default=3, help="mutations of each module, drawn by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--again", action="store_true", help="only those that survived in --out: tests were added")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if given.again:
        earlier = json.loads(given.out.read_text())
        given.seed, given.per_module = earlier["seed"], earlier["per_module"]
        rows = [row for row in earlier["mutants"] if row["end"] != "survived"]
        drawn = [mutant for row in earlier["mutants"] if row["end"] == "survived" for mutant in find(row)]
    else:
        drawn = [mutant for path in given.paths for mutant in draw(path, given.per_module, given.seed)]
    for number, end in enumerate(run(drawn, given.jobs), 1):
        rows.append(judged(end))
        print(
            f"{number}/{len(drawn)}", *(rows[-1][key] for key in ("end", "file", "line", "before", "after")), flush=True
        )
        write(rows, given.out, given.per_module, given.seed)
    report(rows)


def judged(end: End) -> dict[str, Any]:
    change, path = end.mutant.mutation, end.mutant.path
    row = {"file": path, "line": change.line, "before": change.before, "after": change.after, "end": end.how}
    for known in yaml.safe_load(EQUIVALENT.read_text()) or []:
        if end.how == "survived" and all(known[key] == row[key] for key in ("file", "before", "after")):
            row |= {"end": "equivalent", "reason": known["reason"]}
    return row | {"cpu_seconds": round(end.cpu_seconds, 1)}


def find(row: dict[str, Any]) -> list[Mutant]:
    """The mutation of an earlier run, wherever its line is now; none if the code has changed since."""
    found = mutations((ROOT / row["file"]).read_bytes())
    same = [m for m in found if (m.before, m.after) == (row["before"], row["after"])]
    return [Mutant(row["file"], min(same, key=lambda m: abs(m.line - row["line"])))] if same else []


def draw(path: str, count: int, seed: int) -> list[Mutant]:
    """The same mutations for the same text and seed, whatever other modules are asked for."""
    drawn = []
    for module in sorted((ROOT / path).rglob("*.py")) if (ROOT / path).is_dir() else [ROOT / path]:
        name = module.relative_to(ROOT).as_posix()
        found = mutations(module.read_bytes())
        chosen = random.Random(f"{seed} {name}").sample(found, min(count, len(found)))
        drawn += [Mutant(name, mutation) for mutation in sorted(chosen, key=lambda m: m.start)]
    return drawn


def ends_of(rows: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    rooms: dict[str, Counter[str]] = {}
    for row in rows:
        rooms.setdefault(str(Path(row["file"]).parent), Counter())[row["end"]] += 1
    return rooms


def write(rows: list[dict[str, Any]], out: Path, per_module: int, seed: int) -> None:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    header = {"date": datetime.now(UTC).date().isoformat(), "commit": commit, "seed": seed, "per_module": per_module}
    out.write_text(json.dumps({**header, "rooms": ends_of(rows), "mutants": rows}, indent=1) + "\n")


def report(rows: list[dict[str, Any]]) -> None:
    rooms = ends_of(rows)
    for room, ends in [*rooms.items(), ("all", sum(rooms.values(), Counter()))]:
        noticed, judged_at_all = ends["killed"] + ends["timeout"], ends.total() - ends["equivalent"]
        share = f"{100 * noticed / max(judged_at_all, 1):.0f}%"
        print(f"{room:28} {noticed:4} of {judged_at_all:4} noticed ({share}), {judged_at_all - noticed} not")


if __name__ == "__main__":
    main()
