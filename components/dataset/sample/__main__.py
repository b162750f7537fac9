"""python -m components.dataset.sample --out DIR --size tiny|sample|challenge"""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

from components.dataset.sample.spec import SIZES, Content
from components.dataset.sample.write import write_sample
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
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    changes = {"items": given.items, "train_rows": given.rows, "seed": given.seed, "content": given.content}
    changes = {name: value for name, value in changes.items() if value is not None}
    if given.unlabelled_test:
        changes["label_test"] = False
    try:
        spec = dataclasses.replace(SIZES[given.size], **changes)
    except ValueError as error:
        parser.error(str(error))
    write_sample(given.out, spec)
    for split, truth in read_json(given.out / "truth.json")["splits"].items():
        scores = "  ".join(f"{name} {value:.4f}" for name, value in truth["auc"].items())
        logging.info("%-5s %9d rows  AUC: %s", split, truth["rows"], scores)
    return 0


if __name__ == "__main__":
    sys.exit(main())
