"""Writes a sample whose rows have a time, and in truth.json what happened on which day and which policy is best."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.dataset.layout import LEVELS_AS_OF_CLICK, SPLITS, split_path
from components.dataset.sample.clicks import Catalogue, Rows, draw_chunk, draw_pool, history_lengths
from components.dataset.sample.days import Calendar, DaysSpec, make_calendar, moments
from components.dataset.sample.spec import SampleSpec
from components.dataset.sample.truth import Truth
from components.dataset.sample.truth_of_days import DaysTruth
from components.dataset.sample.world import Ints, World, make_world
from components.dataset.sample.write import write_items
from components.dataset.tables import deciles, rows_schema, rows_table
from components.process.progress import progress
from components.storage.files import atomic_path, write_json

_ENDS = (0.8, 0.9, 1.0)  # of the days: where train, valid and test end
_LIKED = 0.6  # of the clicks


def write_days(out: Path, spec: SampleSpec, days: DaysSpec) -> None:
    """The same specs give the same bytes. Of `spec` the numbers of rows are not used: `days` has its own."""
    out.mkdir(parents=True, exist_ok=True)
    world = make_world(spec)
    calendar = make_calendar(world, days, spec.seed)
    truth, by_day = Truth(world), DaysTruth(calendar, days)
    counts = Counts(world.items)
    ends = [round(days.days * share) for share in _ENDS]
    drawn = _draw(world, calendar, spec, days)
    with progress("draw sample", days.days, "days") as bar:
        for split, first, end in zip(SPLITS, [0, *ends], ends, strict=False):
            schema = rows_schema(timed=True).with_metadata(LEVELS_AS_OF_CLICK)
            with (
                atomic_path(split_path(out, split)) as scratch,
                pq.ParquetWriter(scratch, schema, compression="zstd") as writer,
            ):
                for day in range(first, end):
                    rows, time = next(drawn)
                    likes, views = counts.levels(calendar.alive(day))
                    shown = rows.history * (day != days.broken_day)
                    at = rows.item - 1
                    table = rows_table(rows.user, rows.item, shown, likes[at], views[at], rows.label, time)
                    writer.write_table(table.replace_schema_metadata(LEVELS_AS_OF_CLICK))
                    counts.add(rows, spec.seed, day)
                    truth.add(split, rows)
                    by_day.add(day, rows)
                    bar.advance()
            if split == "train":
                known = counts.levels(calendar.alive(end - 1))
    write_items(out, dataclasses.replace(world, likes=known[0], views=known[1]), spec)
    about = {"spec": dataclasses.asdict(spec), "splits": truth.summary(), "days": by_day.summary()}
    write_json(out / "truth.json", about)


class Counts:
    """Clicks and likes of each item so far."""

    def __init__(self, items: int) -> None:
        self._clicks, self._likes = np.zeros((2, items), dtype=np.int64)

    def levels(self, alive: np.ndarray) -> tuple[Ints, Ints]:
        """Deciles of likes and of views among the items of a day, as they stand when the day begins."""
        found = np.ones((2, len(alive)), dtype=np.int64)
        for levels, counts in zip(found, (self._likes, self._clicks), strict=True):
            levels[alive] = deciles(counts[alive])
        return found[0], found[1]

    def add(self, rows: Rows, seed: int, day: int) -> None:
        clicked = rows.item[rows.label == 1] - 1
        liked = np.random.default_rng([seed, 9, day]).random(len(clicked)) < _LIKED
        np.add.at(self._clicks, clicked, 1)
        np.add.at(self._likes, clicked[liked], 1)


def _draw(world: World, calendar: Calendar, spec: SampleSpec, days: DaysSpec) -> Iterator[tuple[Rows, Ints]]:
    """The rows of each day, in the order of time. Everybody comes once; histories are of the day before."""
    for day in range(days.days):
        rng = np.random.default_rng([spec.seed, 10, day])
        alive, before = calendar.alive(day), max(0, day - 1)
        today, yesterday = (
            dataclasses.replace(world, popularity=np.exp(calendar.log_popularity[at])) for at in (day, before)
        )
        known = Catalogue(yesterday, calendar.alive(before))
        pool = draw_pool(today, alive, spec.train_pool, spec.pool_popularity, rng)
        users = days.users_a_day
        # Half as long as the catalogue would allow: drawing most of it without repeats takes very many draws.
        lengths = rng.permutation(history_lengths(users, int(calendar.alive(before).sum()) // 2))
        rows = draw_chunk(rng, today, known, Catalogue(today, alive), pool, 1 + day * users, lengths)
        time = moments(day, users, rng)[rows.user - 1 - day * users]
        order = np.argsort(time, kind="stable")
        yield Rows(*(getattr(rows, field.name)[order] for field in dataclasses.fields(Rows))), time[order]
