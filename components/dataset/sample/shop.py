"""python -m components.dataset.sample.shop --out DIR: the files of a small shop, as a team has them before an import.

clicks.csv (visitor, sku, at, clicked, device, age), items.csv (sku, name, brand, price, tags) and covers/SKU.jpg. All
of it is generated, so anybody may use it for anything. Visitors like topics, colours, shapes and textures as in the
sample; phones click cheap things more often, and each brand has its own appeal.
"""

import argparse
import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from components.dataset.sample.covers import draw_cover
from components.dataset.sample.spec import SampleSpec
from components.dataset.sample.words import TOPICS
from components.dataset.sample.world import ATTRIBUTES, LIKING, World, make_world

BRANDS = ("Acme", "Birch", "Cobalt", "Dune", "Ember")
DEVICES = ("phone", "desktop", "tablet")
_START, _DAYS = datetime(2026, 3, 1, tzinfo=UTC), 28
_SHARE_CLICKED = -1.6  # log odds of a click on an average item


def write_shop(out: Path, visitors: int = 600, items: int = 120, events: int = 20_000, seed: int = 1) -> None:
    """The same arguments give the same files."""
    world = make_world(SampleSpec(items=items, seed=seed))
    rng = np.random.default_rng([seed, 6])
    prices = np.round(rng.lognormal(3.0, 0.7, items), 2)
    brands = rng.integers(0, len(BRANDS), items)
    (out / "covers").mkdir(parents=True, exist_ok=True)
    _write_items(out, world, prices, brands, seed)

    visitor = rng.integers(0, visitors, events)
    item = rng.choice(items, events, p=world.popularity / world.popularity.sum())
    second = np.sort(rng.integers(0, _DAYS * 86_400, events))
    device = rng.integers(0, len(DEVICES), events)
    ages = rng.integers(18, 75, visitors)
    odds = np.full(events, _SHARE_CLICKED)
    for attribute, (count, spread) in enumerate(zip(ATTRIBUTES, LIKING, strict=True)):
        likings = rng.normal(0.0, spread, (visitors, count))
        likings -= likings.mean(axis=1, keepdims=True)  # nobody likes everything
        odds += likings[visitor, world.attributes[item, attribute]]
    odds += 0.8 * ((device == 0) & (prices[item] < np.median(prices))) + rng.normal(0, 0.5, len(BRANDS))[brands[item]]
    clicked = rng.random(events) < 1 / (1 + np.exp(-odds))
    with (out / "clicks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["visitor", "sku", "at", "clicked", "device", "age"])
        for k in range(events):
            at = f"{_START + timedelta(seconds=int(second[k])):%Y-%m-%d %H:%M:%S}"
            writer.writerow(
                [f"v-{visitor[k]:04d}", _sku(item[k]), at, int(clicked[k]), DEVICES[device[k]], ages[visitor[k]]]
            )


def _sku(item: int) -> str:
    return f"sku-{item:04d}"


def _write_items(out: Path, world: World, prices: np.ndarray, brands: np.ndarray, seed: int) -> None:
    topics = list(TOPICS)
    words = [word for _, own in TOPICS.values() for word in own]  # in the order of the tags' numbers
    with (out / "items.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "name", "brand", "price", "tags"])
        for item in range(world.items):
            own = [words[tag - 1] for tag in world.tags[item] if tag <= len(words)]
            tags = "|".join([topics[world.attributes[item, 0]], *own])
            writer.writerow([_sku(item), world.titles[item], BRANDS[brands[item]], prices[item], tags])
    for item in range(world.items):
        _, colour, shape, texture = (int(value) for value in world.attributes[item])
        cover = draw_cover(colour, shape, texture, np.random.default_rng([seed, 7, item]))
        (out / "covers" / f"{_sku(item)}.jpg").write_bytes(cover)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m components.dataset.sample.shop", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--visitors", type=int, default=600)
    parser.add_argument("--items", type=int, default=120)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    write_shop(given.out, given.visitors, given.items, given.events, given.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
