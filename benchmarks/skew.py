"""Whether the check for skew finds what is wrong with served features, and stays silent when nothing is.

    python -m benchmarks.skew --out benchmarks/results/skew.json

A made-up shop is validated as a run validates it; its statistics are the reference. A day is a log of requests of other
users of the same shop. A hundred of them are clean. In the others one thing is wrong, each in twenty days.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import machine
from components.canary.skew import Line, skew
from components.data_versions.check import check_data
from components.request_log.entry import FEATURE
from components.storage.files import write_json
from components.validate.config import ValidatePolicy

ITEMS, REGIONS, NEW = 400, 30, 20  # the last items are newer than the training data
DECLARED = """\
features:
  - {name: device, of: row, kind: category}
  - {name: hour, of: row, kind: category, levels: 24}
  - {name: price, of: row, kind: number}
  - {name: region, of: user, kind: category}
  - {name: age, of: user, kind: number, encoding: standardised}
"""
Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Shop:
    price: Any  # of each item
    weight: Any  # how often each item is shown


def make_shop() -> Shop:
    random = np.random.default_rng(1)
    weight = 1 / np.arange(1, ITEMS + 1) ** 0.7
    return Shop(random.gamma(2.0, 20.0, ITEMS), random.permutation(weight))


def draw(shop: Shop, count: int, seed: int, new: bool) -> pd.DataFrame:
    """Rows, two for each user. Phones are used in the evening, the young have shorter histories."""
    random = np.random.default_rng([2, seed])
    weight = shop.weight.copy()
    weight[-NEW:] *= new
    item = random.choice(ITEMS, count, p=weight / weight.sum())
    hours = np.arange(24)
    busy = 0.15 + np.exp(-(((hours - 20) % 24 - 12) ** 2 - 144) / -40)  # most at 8 p.m.
    hour = random.choice(24, count, p=busy / busy.sum())
    phone = random.random(count) < np.where((hour >= 18) | (hour < 2), 0.8, 0.35)
    user = np.arange(count) // 2
    age = random.integers(18, 70, user.max() + 1)[user].astype(float)
    region = random.choice(REGIONS, user.max() + 1, p=_falling(REGIONS))[user]
    length = 3 + random.poisson(3 + age / 10)
    return pd.DataFrame(
        {
            "user_id": seed * 1_000_000 + user,
            "item_id": item + 1,
            "device": np.where(phone, "phone", "desktop"),
            "hour": hour,
            "price": shop.price[item] * random.choice([1.0, 0.9], count),
            "region": [f"region {number}" for number in region],
            "age": np.where(user % 15 == 0, np.nan, age),
            "length": np.minimum(length, 30),
        }
    )


def _falling(count: int) -> Any:
    weight = 1 / np.arange(1, count + 1)
    return weight / weight.sum()


def write_training(shop: Shop, folder: Path) -> None:
    random = np.random.default_rng(3)
    for seed, (split, count) in enumerate((("train", 20_000), ("valid", 2000), ("test", 2000)), start=1):
        frame = draw(shop, count, seed, new=split == "test")
        histories = [
            [0] * (30 - length) + random.choice(ITEMS - NEW, length, replace=False).__add__(1).tolist()
            for length in frame.pop("length")
        ]
        frame["item_seq"] = histories
        frame["label"] = (random.random(count) < np.where(frame["device"] == "phone", 0.35, 0.15)).astype(np.int64)
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{split}.parquet")
    titles = [f"thing {item}" for item in range(1, ITEMS + 1)]
    pq.write_table(
        pa.table({"item_id": np.arange(1, ITEMS + 1), "item_title": titles}), folder / "item_feature.parquet"
    )
    (folder / "features.yaml").write_text(DECLARED)


def reference(shop: Shop, folder: Path) -> Path:
    """The part of a model package that the check reads."""
    data = folder / "data"
    data.mkdir(parents=True)
    write_training(shop, data)
    check_data(data, ValidatePolicy(users="returning", min_label_signal=0.0), folder / "checked")
    return folder / "checked"


def as_log(rows: pd.DataFrame) -> pd.DataFrame:
    """What `mmctr serve --log` would have written of these rows, asked one by one."""
    first = datetime(2026, 11, 28, tzinfo=UTC)
    log = pd.DataFrame(
        {
            "request_id": [f"r{row}" for row in range(len(rows))],
            "at": [first + timedelta(seconds=row) for row in range(len(rows))],
            "route": "/score",
            "position": 0,
            "item_id": rows["item_id"],
            "known": rows["item_id"] <= ITEMS - NEW,
            "history_length": rows["length"],
            "history_unknown": 0,
        }
    )
    for name in ("device", "hour", "price", "region", "age"):
        log[FEATURE + name] = rows[name]
    return log


def on(column: str, change: Callable[[Any, np.random.Generator], Any]) -> Change:
    return lambda rows, random: rows.assign(**{column: change(rows[column], random)})


SKEWS: dict[str, Change] = {
    "price in cents": on("price", lambda price, _: price * 100),
    "price before tax": on("price", lambda price, _: price / 1.5),
    "price of another row": on("price", lambda price, random: random.permutation(price.to_numpy())),
    "device of another row": on("device", lambda device, random: random.permutation(device.to_numpy())),
    "regions renamed": on("region", lambda region, _: region.str.replace("region", "area")),
    "a third of the regions renamed": on(
        "region", lambda region, _: region.where(region.str[-1] > "3", "area" + region)
    ),
    "device not sent": on("device", lambda device, _: pd.Series([None] * len(device), device.index)),
    "age 0 where it is missing": on("age", lambda age, random: age.where(random.random(len(age)) < 0.5, 0.0)),
    "age always 30": on("age", lambda age, _: age * 0 + 30.0),
    "hour of another time zone, 5 h": on("hour", lambda hour, _: (hour + 5) % 24),
    "hour of the day as 0 to 11": on("hour", lambda hour, _: hour % 12),
    "histories cut to 5": on("length", lambda length, _: length.clip(upper=5)),
    "no histories": on("length", lambda length, _: length * 0),
    "half of the items new": on(
        "item_id", lambda item, random: item.where(random.random(len(item)) < 0.5, ITEMS - NEW + 1 + item % NEW)
    ),
    "items renumbered": on("item_id", lambda item, _: (item * 7) % (ITEMS - NEW) + 1),
}


def found(shop: Shop, package: Path, day: int, rows: int, change: Change | None = None) -> list[Line]:
    drawn = draw(shop, rows, 100 + day, new=True)
    if change is not None:
        drawn = change(drawn, np.random.default_rng(day))
    return [line for line in skew(as_log(drawn), package, ValidatePolicy()) if line.skewed]


def measure(package: Path, rows: int, clean: int, days: int) -> dict[str, Any]:
    shop = make_shop()
    raised = [found(shop, package, day, rows) for day in range(clean)]
    planted = {}
    for name, change in SKEWS.items():
        lines = [found(shop, package, day, rows, change) for day in range(days)]
        told = sorted({f"{line.feature}: {line.measure}" for line in lines[0]})
        planted[name] = {"days": days, "found": sum(bool(each) for each in lines), "by": told}
    return {
        "rows_a_day": rows,
        "clean_days": clean,
        "clean_days_raised": sum(bool(each) for each in raised),
        "raised": sorted({f"{line.feature}: {line.measure}" for each in raised for line in each}),
        "planted": planted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        package = reference(make_shop(), Path(scratch))
        results = [measure(package, rows, 100, 20) for rows in (5000, 1000)]
    write_json(given.out, {**machine(), "results": results})
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
