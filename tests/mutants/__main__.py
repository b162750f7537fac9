"""`make mutants`: how many small mistakes in the consequential modules the fast tests notice.

    python -m tests.mutants [--per-module 3] [--seed 1] [--jobs 2] [components/gate model/losses.py ...]

The mutations of each module are drawn by the seed. What came of each is added to benchmarks/results/mutants.json, or
replaced there if the same mutation was tried before, so that the rooms can be measured in parts. Mutations that no test
can notice are listed with the reason in equivalent.yaml. `python -m benchmarks.mutants` makes the table of the results.
"""

import argparse
import json
import os
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.update(GX_ANALYTICS_ENABLED="false", MLFLOW_DISABLE_TELEMETRY="true", DVC_NO_ANALYTICS="true")
os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")

import yaml

from benchmarks.machine import machine
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
    parser.add_argument(
        "--again", action="store_true", help="only those that survived in --out, after tests were added"
    )
    given = parser.parse_args()
    earlier = json.loads(given.out.read_text())["mutants"] if given.out.is_file() else []
    if given.again:
        drawn = [mutant for row in earlier if row["end"] == "survived" for mutant in find(row)]
    else:
        drawn = [mutant for path in given.paths for mutant in draw(path, given.per_module, given.seed)]
    rows = {_mutation_of(row): row for row in earlier}
    where = {"date": datetime.now(UTC).date().isoformat(), "commit": machine()["commit"]}
    new = []
    for number, end in enumerate(run(drawn, given.jobs), 1):
        row = judged(end) | where
        before = rows.get(_mutation_of(row), {})
        rows[_mutation_of(row)] = row | {"at_first": before.get("at_first", before.get("end", row["end"]))}
        new.append(row)
        print(f"{number}/{len(drawn)}", *(row[key] for key in ("end", "file", "line", "before", "after")), flush=True)
        given.out.write_text(json.dumps({"mutants": [rows[key] for key in sorted(rows)]}, indent=1) + "\n")
    report(new)


def _mutation_of(row: dict[str, Any]) -> tuple[str, int, str, str]:
    return row["file"], row["line"], row["before"], row["after"]


def judged(end: End) -> dict[str, Any]:
    change, path = end.mutant.mutation, end.mutant.path
    row = {"file": path, "line": change.line, "before": change.before, "after": change.after, "end": end.how}
    for known in yaml.safe_load(EQUIVALENT.read_text()) or []:
        if end.how == "survived" and all(known[key] == row[key] for key in ("file", "before", "after")):
            row |= {"end": "equivalent", "reason": known["reason"]}
    return row | {"cpu_seconds": round(end.cpu_seconds, 1)}


def find(row: dict[str, Any]) -> list[Mutant]:
    """The mutation of an earlier run, and in the row the line where it is now; none if the code has changed since."""
    found = mutations((ROOT / row["file"]).read_bytes())
    same = [m for m in found if (m.before, m.after) == (row["before"], row["after"])]
    if not same:
        return []
    nearest = min(same, key=lambda m: abs(m.line - row["line"]))
    row["line"] = nearest.line
    return [Mutant(row["file"], nearest)]


def draw(path: str, count: int, seed: int) -> list[Mutant]:
    """The same mutations for the same text and seed, whatever other modules are asked for."""
    drawn = []
    for module in sorted((ROOT / path).rglob("*.py")) if (ROOT / path).is_dir() else [ROOT / path]:
        name = module.relative_to(ROOT).as_posix()
        found = mutations(module.read_bytes())
        chosen = random.Random(f"{seed} {name}").sample(found, min(count, len(found)))
        drawn += [Mutant(name, mutation) for mutation in sorted(chosen, key=lambda m: m.start)]
    return drawn


def report(rows: list[dict[str, Any]]) -> None:
    rooms: dict[str, Counter[str]] = {}
    for row in rows:
        rooms.setdefault(str(Path(row["file"]).parent), Counter())[row["end"]] += 1
    for room, ends in [*rooms.items(), ("all", sum(rooms.values(), Counter()))]:
        noticed, judged_at_all = ends["killed"] + ends["timeout"], ends.total() - ends["equivalent"]
        share = f"{100 * noticed / max(judged_at_all, 1):.0f}%"
        print(f"{room:28} {noticed:4} of {judged_at_all:4} noticed ({share}), {judged_at_all - noticed} not")


if __name__ == "__main__":
    main()
