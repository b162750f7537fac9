"""Real rows with what a ranker looks at in them: titles, covers and weights, for the report only."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from components.batches.rows import RowStore
from components.dataset.images import ImageFolder
from components.dataset.layout import ITEM, TITLE, item_feature_path
from components.dataset.pictures import read_picture

Array = npt.NDArray[Any]
Json = dict[str, Any]
EXAMPLES, SHOWN = 4, 20  # rows, and the newest items of each: more would be too small to read
ENOUGH = 8  # items that make a row worth looking at, where the data has such rows
COVER, QUALITY = 96, 72  # pixels, JPEG; about 3 kB each
PIXEL_LIMIT = 50_000_000


def pick(rows: RowStore, chosen: Array) -> Array:
    """Row numbers, at most one a user: evenly over the clicked rows of some length, without a look at the weights."""
    clicked = chosen[rows.label[chosen] == 1] if rows.has_labels else chosen
    lengths = rows.lengths[clicked]
    long = clicked[lengths >= min(ENOUGH, int(lengths.max(initial=0)))]
    _, first = np.unique(rows.user[long], return_index=True)
    others = long[np.sort(first)]
    if not len(others):
        return others
    return others[np.linspace(0, len(others) - 1, min(EXAMPLES, len(others))).round().astype(np.int64)]


def describe(examples: list[Json], dataset: Path) -> list[Json]:
    """Each example as JSON: its newest items with their weights, oldest first, and their map, one line a query."""
    shown = {int(item) for e in examples for item in [*e["history"][-SHOWN:], e["item"]]}
    titles, images = _titles(dataset, shown), ImageFolder(dataset)
    cards = {item: {"item": item, "title": titles.get(item, ""), "cover": cover(images, item)} for item in shown}
    return [_described(example, cards) for example in examples]


def _described(example: Json, cards: dict[int, Json]) -> Json:
    queries_AL = example["rows_by_item"]
    by_item_L, newest_L = queries_AL.mean(0), queries_AL[-1]
    has_map = len(queries_AL) == len(example["history"])
    items = [
        {**cards[int(item)], "shares_tag": bool(same), "weight": _digits(weight), "newest_query": _digits(newest)}
        for item, same, weight, newest in list(
            zip(example["history"], example["same"], by_item_L, newest_L, strict=True)
        )[-SHOWN:]
    ]
    return {
        "row": example["row"],
        "label": example["label"],
        "layer": example["layer"],
        "length": len(example["history"]),
        "older": _digits(by_item_L[:-SHOWN].sum()),  # what lies on items that are not shown
        "padding": _digits(max(0.0, 1.0 - by_item_L.sum())),
        "target": cards[example["item"]],
        "items": items,
        "map": [[_digits(w) for w in line[-SHOWN:]] for line in queries_AL[-SHOWN:]] if has_map else None,
    }


def _digits(value: float) -> float:
    return round(float(value), 5)


def _titles(dataset: Path, items: set[int]) -> dict[int, str]:
    path = item_feature_path(dataset)
    if not path.is_file() or TITLE not in pq.read_schema(path).names:
        return {}
    table = pq.read_table(path, columns=[ITEM, TITLE])
    wanted = pa.array(sorted(items), table.schema.field(ITEM).type)
    table = table.filter(pc.is_in(table.column(ITEM), value_set=wanted))
    return {item: title or "" for item, title in zip(*(column.to_pylist() for column in table.columns), strict=True)}


def cover(images: ImageFolder, item: int) -> str | None:
    """A data URI, so that the page is one file."""
    picture = read_picture(images.read(item), COVER, PIXEL_LIMIT) if item in images else None
    if picture is None or picture.pixels is None:
        return None
    jpeg = io.BytesIO()
    Image.fromarray(picture.pixels).save(jpeg, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")
