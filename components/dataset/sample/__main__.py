"""python -m components.dataset.sample --out DIR --size tiny|sample|challenge, or --days 40 for rows that have a time"""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

from components.dataset.sample.days import DaysSpec
from components.dataset.sample.spec import SIZES, Content
from components.dataset.sample.write import write_sample
from components.dataset.sample.write_days import write_days
from components.storage.files import read_json


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m components.dataset.sample", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--size", choices=sorted(SIZES), default="sample")
    parser.add_argument("--items", type=int, help="number of items, instead of the size's")
    parser.add_argument("--rows", type=int, help="number of train rows, instead of the size's")
    parser.add_argument("--seed", type=int, help="another seed is another world")
    parser.add_argument("--content", choices=Content.__args__, help="what stands for the items' content")  # type: ignore[attr-defined]
    parser.add_argument("--unlabelled-test", action="store_true", help="leave the labels of test out")
    parser.add_argument("--days", type=int, help="rows with a time, over so many days in which tastes and items change")
    parser.add_argument("--rows-a-day", type=int, help="number of rows of each of these days")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    changes = {"items": given.items, "train_rows": given.rows, "seed": given.seed, "content": given.content}
    changes = {name: value for name, value in changes.items() if value is not None}
    if given.unlabelled_test:
        changes["label_test"] = False
    if given.rows_a_day is not None and given.days is None:
        parser.error("--rows-a-day needs --days")
    if given.days is not None and (given.rows is not None or given.unlabelled_test):
        parser.error("--days has all rows labelled, and takes --rows-a-day instead of --rows")
    try:
        spec = dataclasses.replace(SIZES[given.size], **changes)
        days = {"days": given.days, "rows_a_day": given.rows_a_day}
        days_spec = DaysSpec(**{name: value for name, value in days.items() if value is not None})
    except ValueError as error:
        parser.error(str(error))
    if given.days is None:
        write_sample(given.out, spec)
    else:
        write_days(given.out, spec, days_spec)
    for split, truth in read_json(given.out / "truth.json")["splits"].items():
        scores = "  ".join(f"{name} {value:.4f}" for name, value in truth["auc"].items())
        logging.info("%-5s %9d rows  AUC: %s", split, truth["rows"], scores)
    return 0


if __name__ == "__main__":
    sys.exit(main())
