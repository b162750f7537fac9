"""Check a folder as a run would, before it is committed: `python -m components.validate DIR --out OUT`.

`--rules` prints every rule with its limit instead.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from components.errors import StepError
from components.settings import with_overrides
from components.storage.files import write_json
from components.validate.config import ValidatePolicy
from components.validate.step import validate
from components.validate.suite import RULES
from components.validate.verdict import limit_in_words

_log = logging.getLogger("mmctr")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m components.validate", description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="a folder in the layout of the data contract")
    parser.add_argument("--out", type=Path, help="folder for verdict.json, data_docs.html and the rest")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of ValidatePolicy")
    parser.add_argument("--champion", type=Path, help="folder of a champion to measure drift against")
    parser.add_argument("--rules", action="store_true")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        policy = with_overrides(ValidatePolicy(), given.set)
    except ValueError as error:
        parser.error(str(error))
    if given.rules:
        for rule in RULES:
            _log.info("%-22s %-10s %-44s %s", rule.name, policy.severity(rule), limit_in_words(rule, policy), rule.what)
        return 0
    if given.data is None or given.out is None:
        parser.error("name a folder to check, and --out")
    return _check(given.data, given.champion, policy, given.out)


def _check(data: Path, champion: Path | None, policy: ValidatePolicy, out: Path) -> int:
    with tempfile.TemporaryDirectory() as nobody:
        write_json(Path(nobody, "champion.json"), {"version": None})
        try:
            verdict = validate(data, champion or Path(nobody), policy, out)
        except StepError as error:
            _log.info("%s", error)
            return 1
    for rule in verdict["rules"]:
        if not rule["passed"]:
            _log.info("%s: %s", rule["severity"], rule["message"])
    _log.info("%s: read %s", verdict["status"], out / "data_docs.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
