"""Breaks the product on purpose, and keeps what came of it: `python -m tests.chaos`, `make chaos`.

Each family of faults is a word on the command line; without one all run. What was found is written after every fault
to benchmarks/results/chaos/FAMILY.json, and a run that was broken off goes on where it stopped.
"""

import argparse
import logging
import os
from collections.abc import Callable
from pathlib import Path

from tests.chaos.corruptions import run_corruptions
from tests.chaos.disk import run_disk
from tests.chaos.kills import run_kills
from tests.chaos.races import run_races
from tests.chaos.record import Record
from tests.chaos.reference import Reference, reference
from tests.chaos.servers import run_servers

RESULTS = Path("benchmarks/results/chaos")
FAMILIES: dict[str, tuple[Callable[[Record, Reference, int], None], int]] = {
    "kills": (run_kills, 40),
    "corruptions": (run_corruptions, 66),
    "races": (run_races, 1),
    "servers": (run_servers, 2),
    "disk": (run_disk, 60),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("families", nargs="*", choices=[*FAMILIES, []], help="which faults; all without a word")
    parser.add_argument("--seed", type=int, default=16, help="decides every moment, place and bit")
    parser.add_argument(
        "--count", type=int, help="how many faults (races, servers: rounds), instead of each family's own"
    )
    parser.add_argument("--work", type=Path, default=Path(".mmctr/chaos"), help="where workspaces are made")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("tests.chaos").setLevel(logging.INFO)
    os.environ.update(OMP_NUM_THREADS="1", MLFLOW_DISABLE_TELEMETRY="true", DVC_NO_ANALYTICS="true")
    undisturbed, wrong = reference(given.work.resolve()), 0
    for family in given.families or FAMILIES:
        run, count = FAMILIES[family]
        record = Record.open(given.out / f"{family}.json", given.seed, undisturbed.folder)
        run(record, undisturbed, given.count or count)
        wrong += record.finish()
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
