"""A small shop log whose features.yaml declares features of every kind, and two texts: no levels, tags or pictures.

Who clicks depends on them: phones click cheap things, and each brand has its own rate.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ITEMS = 60
BRANDS = ("Acme", "Birch", "Cobalt", "Dune")
MATERIALS = ("wool", "steel", "oak")
DEVICES = ("phone", "desktop", None)
ACTIONS = ("click", "buy", None)
FEATURES = """\
features:
  - {name: device, of: row, kind: category}
  - {name: hour, of: row, kind: number, encoding: buckets, bins: 6}
  - {name: age, of: user, kind: number, encoding: standardised}
  - {name: action, of: event, kind: category}
  - {name: time_gap, of: event, kind: number, bins: 4}
  - {name: price, of: item, kind: number, bins: 8}
  - {name: brand, of: item, kind: category, buckets: 3}
  - {name: materials, of: item, kind: categories, max_values: 2}
  - {name: look, of: item, kind: vector}
  - {name: headline, of: item, kind: text}
  - {name: description, of: item, kind: text}
"""


def items() -> pa.Table:
    rng = np.random.default_rng(5)
    brands = [BRANDS[item % len(BRANDS)] for item in range(1, ITEMS)]
    brands[7] = None  # type: ignore[call-overload] # not every item has one
    return pa.table(
        {
            "item_id": np.arange(1, ITEMS),
            "headline": [f"{rng.choice(MATERIALS)} thing {item}" for item in range(1, ITEMS)],
            "description": [None if item % 9 == 0 else f"made by {brands[item - 1]}" for item in range(1, ITEMS)],
            "price": rng.gamma(2.0, 20.0, ITEMS - 1),
            "brand": brands,
            "look": [None if item == 5 else rng.normal(size=3).tolist() for item in range(1, ITEMS)],
            "materials": [list(rng.choice(MATERIALS, item % 3, replace=False)) for item in range(1, ITEMS)],
        }
    )


def rows(count: int, seed: int, first_user: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    table = items()
    price = table["price"].to_numpy()
    item = rng.integers(1, ITEMS, count)
    device = rng.integers(0, len(DEVICES), count)
    cheap = price[item - 1] < np.median(price)
    chance = 0.1 + 0.35 * ((device == 0) & cheap) + 0.1 * (item % len(BRANDS))
    history = [list(rng.choice(np.setdiff1d(np.arange(1, ITEMS), [i]), rng.integers(1, 7), False)) for i in item]
    age: list[Any] = [
        None if user % 10 == 0 else float(18 + user % 50) for user in range(first_user, first_user + count)
    ]
    return pa.table(
        {
            "user_id": np.arange(first_user, first_user + count),
            "item_id": item,
            "item_seq": [[0] * (8 - len(ids)) + ids for ids in history],
            "action": [[*[None] * (8 - len(ids)), *(ACTIONS[i % 3] for i in ids)] for ids in history],
            "time_gap": [[0.0] * (8 - len(ids)) + [float(3600 * (i + len(ids))) for i in ids] for ids in history],
            "device": [DEVICES[place] for place in device],
            "hour": rng.integers(0, 24, count),
            "age": pa.array(age, pa.float64()),
            "label": (rng.random(count) < chance).astype(np.int64),
        }
    )


def write_shop(folder: Path, train: int = 2000, features: str = FEATURES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, count, seed, first in (("train", train, 1, 1), ("valid", 400, 2, 100_000), ("test", 400, 3, 200_000)):
        pq.write_table(rows(count, seed, first), folder / f"{split}.parquet")
    pq.write_table(items(), folder / "item_feature.parquet")
    (folder / "features.yaml").write_text(features)
    return folder
