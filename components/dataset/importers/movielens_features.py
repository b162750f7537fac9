"""MovieLens 100K as a data set that declares its features: hour of day, release year, genres, and the poster.

The same files as for the challenge's layout become a raw log and an item table, which `mmctr import log` converts. Each
rating is a click, as there, and negatives are drawn by the same two policies. Levels are left out: they belong to the
challenge's layout.
"""

import re
import tempfile
from pathlib import Path

import pandas as pd

from components.dataset.importers.csv import numbers, read_csv, whole_numbers
from components.dataset.importers.log import LogImport, import_log
from components.dataset.importers.report import ImportReport
from components.errors import StepError

_YEAR = re.compile(r"\((\d{4})\)\s*$")
FEATURES = """\
features:
  - {name: hour_of_day, of: row, kind: number, encoding: buckets, bins: 8}
  - {name: day_of_week, of: row, kind: category}
  - {name: release_year, of: item, kind: number, bins: 10}
  - {name: genres, of: item, kind: categories}
  - {name: time_gap, of: event, kind: number}
log: {user: user_id, item: item_id, time: timestamp, title: text, tags: keywords}
"""


def movielens_features(source: Path, out: Path, seed: int = 1) -> ImportReport:
    with tempfile.TemporaryDirectory(prefix="mmctr-movielens-") as name:
        folder = Path(name)
        _write_ratings(source / "ratings.csv", folder / "ratings.csv")
        _write_films(source / "items.csv", folder / "films.csv")
        (folder / "features.yaml").write_text(FEATURES)
        posters = source / "posters.tar"
        settings = LogImport(
            folder / "ratings.csv",
            folder / "features.yaml",
            out,
            folder / "films.csv",
            posters if posters.is_file() else None,
            seed=seed,
        )
        try:
            report = import_log(settings)
        except StepError as error:
            said = str(error).replace(f"{folder}/films.csv", f"{source}/items.csv").replace(name, str(source))
            raise StepError(said) from None
    return ImportReport(tuple(line.replace(name, str(source)) for line in report.lines))


def _write_ratings(path: Path, out: Path) -> None:
    frame = read_csv(path, ("user_id", "item_id", "rating", "timestamp"))
    whole_numbers(path, frame, "timestamp", minimum=0)
    numbers(path, frame, "rating")
    frame["user_id"] = "user " + frame["user_id"]  # ids as the texts that most teams have
    frame[["user_id", "item_id", "timestamp"]].to_csv(out, index=False)


def _write_films(path: Path, out: Path) -> None:
    frame = read_csv(path, ("item_id", "title", "genres", "keywords", "overview"))
    text = (frame["title"] + ". " + frame["overview"]).str.strip()
    year = frame["title"].str.extract(_YEAR, expand=False)
    films = {"item_id": frame["item_id"], "text": text, "genres": frame["genres"], "keywords": frame["keywords"]}
    pd.DataFrame({**films, "release_year": year}).to_csv(out, index=False)
