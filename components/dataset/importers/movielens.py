"""MovieLens 100K with posters, in the challenge's form.

In: `ratings.csv` (user_id, item_id, rating, timestamp), `items.csv` (item_id, title, genres, keywords, overview; genres
and keywords separated by |) and, if there, `posters.tar` ({item_id}.jpg). The files are the user's own.

Each rating is a click. A row holds only what was known before the click: its history ends before the click's timestamp,
its two negatives are items that somebody had clicked by then, and its levels are deciles of the clicks counted up to
then. The levels in item_feature are those at the end of train. The splits are stretches of time, so a user may be in
two of them. MovieLens may be used for research but not passed on; acknowledge GroupLens.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from components.dataset.images import shard_ids
from components.dataset.importers.clicks import Clicks, Examples, levels_as_of_click, make_examples
from components.dataset.importers.csv import numbers, read_csv, whole_numbers
from components.dataset.importers.report import ImportReport
from components.dataset.layout import LEVELS_AS_OF_CLICK, MAX_TAGS, SPLITS, item_feature_path, split_path
from components.dataset.tables import deciles, items_table, rows_table
from components.errors import StepError
from components.storage.files import atomic_path

Ints = npt.NDArray[np.int64]

_TRAIN, _VALID = 0.8, 0.1  # of the clicks, in the order of time; the rest is test
_LIKED = 4.0  # stars from which a rating counts as a like
_KNOWN_TAG = 3  # films that must share a keyword for it to become a tag


def movielens(source: Path, out: Path, seed: int = 1) -> ImportReport:
    """Converts `source` into a dataset at `out`; the same source and seed give the same bytes."""
    items = _read_items(source / "items.csv")
    clicks, ratings, dropped = _read_clicks(source / "ratings.csv", items.item)
    bounds = (0, *_split_ends(clicks.time), len(clicks.item))
    with_poster = _poster_items(source / "posters.tar")
    examples = make_examples(clicks, np.random.default_rng(seed))
    if not np.histogram(examples.click, bounds)[0].all():
        raise StepError(f"{len(clicks.item)} clicks are too few to split 80/10/10 by time: a split has no history")

    out.mkdir(parents=True, exist_ok=True)
    liked = ratings >= _LIKED
    likes, views = _levels(items.item, clicks.item[: bounds[1]], liked[: bounds[1]])
    row_levels = levels_as_of_click(examples, clicks, liked, items.item)
    lines = [f"{len(clicks.item)} clicks of {len(np.unique(clicks.user))} users on {len(items.item)} items"]
    if dropped:
        lines.append(f"{dropped} ratings left out: their items are not in items.csv")
    first = len(clicks.item) - int(examples.label.sum())
    lines.append(f"{first} clicks left out: the first of their user or of their item")
    _write_items(out, items, likes, views)
    lines += _write_splits(out, clicks, examples, bounds, *row_levels)
    _copy_posters(source / "posters.tar", out)
    lines.append(f"{np.isin(items.item, with_poster).sum()} of {len(items.item)} items have a poster")
    return ImportReport(tuple(lines))


@dataclass(frozen=True)
class _Items:
    item: Ints
    text: list[str]
    tags: list[list[int]]


def _read_items(path: Path) -> _Items:
    frame = read_csv(path, ("item_id", "title", "genres", "keywords", "overview"))
    item = whole_numbers(path, frame, "item_id", minimum=1)
    _refuse_duplicates(path, item)
    order = np.argsort(item)
    frame = frame.iloc[order].reset_index(drop=True)
    genres = [_parts(cell) for cell in frame["genres"]]
    keywords = [_parts(cell) for cell in frame["keywords"]]
    text = [
        ". ".join(part.strip() for part in (title, ", ".join(g), ", ".join(k), overview) if part.strip())
        for title, g, k, overview in zip(frame["title"], genres, keywords, frame["overview"], strict=True)
    ]
    return _Items(item[order], text, _tags(genres, keywords))


def _refuse_duplicates(path: Path, item: Ints) -> None:
    values, counts = np.unique(item, return_counts=True)
    if (counts > 1).any():
        raise StepError(f"{path}: item_id {values[counts > 1][0]} stands there twice; keep one")


def _parts(cell: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in cell.split("|") if part.strip()))


def _tags(genres: list[list[str]], keywords: list[list[str]]) -> list[list[int]]:
    """Genres first, then the keywords that most films share, for a keyword of one film tells a model nothing."""
    films: dict[str, int] = {}
    for words in keywords:
        for word in words:
            films[word] = films.get(word, 0) + 1
    names = sorted({g for one in genres for g in one})
    shared = sorted(word for word, count in films.items() if count >= _KNOWN_TAG and word not in set(names))
    number = {name: k for k, name in enumerate([*names, *shared], start=1)}
    rows = []
    for own_genres, own_keywords in zip(genres, keywords, strict=True):
        by_count = sorted((w for w in own_keywords if w in number), key=lambda w: (-films[w], w))
        rows.append([number[name] for name in dict.fromkeys([*own_genres, *by_count])][:MAX_TAGS])
    return rows


def _read_clicks(path: Path, known: Ints) -> tuple[Clicks, npt.NDArray[np.float64], int]:
    frame = read_csv(path, ("user_id", "item_id", "rating", "timestamp"))
    user = whole_numbers(path, frame, "user_id", minimum=1)
    item = whole_numbers(path, frame, "item_id", minimum=1)
    time = whole_numbers(path, frame, "timestamp", minimum=0)
    rating = numbers(path, frame, "rating")
    kept = np.flatnonzero(np.isin(item, known))
    if len(kept) * 2 < len(item):
        raise StepError(
            f"{path}: only {len(kept)} of {len(item)} ratings are of items in items.csv; do the files match?"
        )
    order = kept[np.lexsort((item[kept], user[kept], time[kept]))]
    pairs = np.stack([user[order], item[order]], axis=1)
    unique, counts = np.unique(pairs, axis=0, return_counts=True)
    if (counts > 1).any():
        twice = unique[counts > 1][0]
        raise StepError(f"{path}: user_id {twice[0]} rates item_id {twice[1]} twice; keep one")
    return Clicks(user[order], item[order], time[order]), rating[order], len(item) - len(kept)


def _split_ends(time: Ints) -> tuple[int, int]:
    """How many clicks end train, and valid; clicks of one second are never parted."""
    bounds = [int(len(time) * share) for share in (_TRAIN, _TRAIN + _VALID)]
    first, second = (int(np.searchsorted(time, time[bound], side="left")) for bound in bounds)
    if not 0 < first < second < len(time):
        raise StepError(f"{len(time)} clicks at {len(np.unique(time))} moments are too few to split 80/10/10 by time")
    return first, second


def _levels(item: Ints, clicked: Ints, liked: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Deciles of likes and of views, over `item`, from these clicks."""
    place = np.searchsorted(item, clicked)
    views = np.bincount(place, minlength=len(item))
    likes = np.bincount(place, liked, minlength=len(item))
    return deciles(likes), deciles(views)


def _write_items(out: Path, items: _Items, likes: Ints, views: Ints) -> None:
    with atomic_path(item_feature_path(out)) as scratch:
        pq.write_table(items_table(items.item, items.text, items.tags, likes, views), scratch, compression="zstd")


def _write_splits(
    out: Path, clicks: Clicks, examples: Examples, bounds: tuple[int, ...], likes: Ints, views: Ints
) -> list[str]:
    """`likes` and `views` are the levels of each example."""
    lines = []
    train_users = np.unique(clicks.user[: bounds[1]])
    for split, first, last in zip(SPLITS, bounds, bounds[1:], strict=False):
        rows = np.flatnonzero((examples.click >= first) & (examples.click < last))
        click = examples.click[rows]
        table = rows_table(
            clicks.user[click],
            examples.item[rows],
            examples.history[click],
            likes[rows],
            views[rows],
            examples.label[rows],
            clicks.time[click],
        ).replace_schema_metadata(LEVELS_AS_OF_CLICK)
        with atomic_path(split_path(out, split)) as scratch:
            pq.write_table(table, scratch, compression="zstd", row_group_size=16_384)
        known = np.isin(clicks.user[click], train_users).mean()
        lines.append(
            f"{split}: {len(rows)} rows, {examples.label[rows].mean():.1%} clicks, users known from train {known:.1%}"
        )
    return lines


def _poster_items(posters: Path) -> Ints:
    return np.array(shard_ids(posters) if posters.is_file() else [], dtype=np.int64)


def _copy_posters(posters: Path, out: Path) -> None:
    target = out / "item_images-00000.tar"
    target.unlink(missing_ok=True)
    if posters.is_file():
        with atomic_path(target) as scratch:
            shutil.copyfile(posters, scratch)
