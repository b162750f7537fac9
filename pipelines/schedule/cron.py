"""Cron expressions as the scheduler of Kubeflow Pipelines reads them: six fields, **seconds first**, in UTC.

The usual five-field form passes every check there and means something else: `0 3 * * *`, read with seconds first and
the day of week left out, runs every hour at minute 3. So five fields are refused, with the six-field form that was
probably meant.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice, pairwise, product

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTH_NAMES = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_PART = re.compile(r"^(?P<first>\*|\?|\w+)(-(?P<last>\w+))?(/(?P<step>\d+))?$")
_SHORTEST = timedelta(minutes=5)  # between two runs; a training takes longer
_HORIZON_DAYS = 9 * 366  # 29 February may be eight years away


@dataclass(frozen=True)
class Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of the values from `low` on


FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day of week", 0, 6, _DAYS),  # 7 for Sunday is not known there
)


@dataclass(frozen=True)
class Cron:
    """A checked expression."""

    text: str

    def __post_init__(self) -> None:
        _refuse_other_forms(self.text)
        sample = self.times(datetime(2026, 1, 1, tzinfo=UTC), 50)
        if len(sample) < 2:
            raise ValueError(f"cron {self.text!r}: never runs, no date is like that")
        gap = min(later - earlier for earlier, later in pairwise(sample))
        if gap < _SHORTEST:
            raise ValueError(
                f"cron {self.text!r}: runs {gap.total_seconds():.0f} s apart, sooner than a training ends; "
                "the first field is seconds, the second minutes"
            )

    def times(self, after: datetime, count: int = 5) -> list[datetime]:
        """The next times, in UTC; fewer only when there are no more in the next years."""
        return list(islice(self._times(after.astimezone(UTC)), count))

    def words(self) -> str:
        """Such as `at 03:00:00 UTC on Monday to Friday`."""
        second, minute, hour, day, month, weekday = (
            None if text in ("*", "?") else values
            for text, values in zip(self.text.split(), self._fields(), strict=True)
        )
        return " ".join([_time_of_day(second, minute, hour), "UTC", *_days(day, month, weekday, self._either)])

    def _times(self, after: datetime) -> Iterator[datetime]:
        seconds, minutes, hours, days, months, weekdays = self._fields()
        first = after.replace(hour=0, minute=0, second=0, microsecond=0)
        for offset in range(_HORIZON_DAYS):
            date = first + timedelta(days=offset)
            on_day, on_weekday = date.day in days, date.isoweekday() % 7 in weekdays
            if date.month not in months or not ((on_day or on_weekday) if self._either else (on_day and on_weekday)):
                continue
            for hour, minute, second in product(hours, minutes, seconds):
                time = date.replace(hour=hour, minute=minute, second=second)
                if time > after:
                    yield time

    def _fields(self) -> list[list[int]]:
        return [_values(self.text, field, text) for field, text in zip(FIELDS, self.text.split(), strict=True)]

    @property
    def _either(self) -> bool:
        """Days of the month and of the week both given: the scheduler takes either. A `*`, also `*/2`, gives none."""
        day, _, weekday = self.text.split()[3:]
        return not any(part[0] in "*?" for part in f"{day},{weekday}".split(",") if part)


def _refuse_other_forms(text: str) -> None:
    fields = text.split()
    if text.startswith("@"):
        raise ValueError(f"cron {text!r}: write six fields instead, for example '0 0 3 * * *' for 03:00 UTC every day")
    if len(fields) == 5:
        raise ValueError(
            f"cron {text!r}: has 5 fields, and the scheduler reads seconds first, so it would run at other times than "
            f"you think; the 6-field form is '0 {text}'"
        )
    if len(fields) != 6:
        raise ValueError(
            f"cron {text!r}: must have 6 fields, second minute hour day-of-month month day-of-week; has {len(fields)}"
        )


def _values(cron: str, field: Field, text: str) -> list[int]:
    """The values that a field admits, in order."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.match(part)
        if match is None:
            raise ValueError(f"cron {cron!r}: the {field.name} {part!r} is none of 5, 1-5, */10, 1,15")
        step = int(match["step"] or 1)
        if match["first"] in ("*", "?"):
            first, last = field.low, field.high
            if match["last"]:
                raise ValueError(f"cron {cron!r}: the {field.name} {part!r} mixes * with a range")
        else:
            first = _number(cron, field, match["first"])
            last = _number(cron, field, match["last"]) if match["last"] else (field.high if match["step"] else first)
        if step < 1 or last < first:
            raise ValueError(f"cron {cron!r}: the {field.name} {part!r} is empty")
        found.update(range(first, last + 1, step))
    return sorted(found)


def _number(cron: str, field: Field, text: str) -> int:
    if text.upper() in field.names:
        return field.low + field.names.index(text.upper())
    if not text.isdigit() or not field.low <= int(text) <= field.high:
        raise ValueError(f"cron {cron!r}: the {field.name} {text!r} must lie in [{field.low}, {field.high}]")
    return int(text)


def _time_of_day(second: list[int] | None, minute: list[int] | None, hour: list[int] | None) -> str:
    if second and minute and hour and len(second) * len(minute) * len(hour) <= 4:
        return "at " + _list(f"{h:02}:{m:02}:{s:02}" for h in hour for m in minute for s in second)
    parts = [_of("second", second), _of("minute", minute), _of("hour", hour)]
    return "at " + " of ".join(part for part in parts if part)


def _of(unit: str, values: list[int] | None) -> str:
    if values is None:
        return f"every {unit}"
    gaps = {b - a for a, b in pairwise(values)}
    span = 24 if unit == "hour" else 60
    if len(gaps) == 1 and (gap := gaps.pop()) > 1 and values[0] < gap and values[-1] + gap >= span and len(values) > 2:
        return f"every {gap} {unit}s" + (f" from {values[0]}" if values[0] else "")
    return f"{unit} {_list(_spans(values, [str(v) for v in range(span)]))}"


def _days(day: list[int] | None, month: list[int] | None, weekday: list[int] | None, either: bool) -> Iterator[str]:
    days = []
    if day is not None:
        days.append(f"day {_list(_spans(day, [str(d) for d in range(32)]))} of the month")
    if weekday is not None:
        days.append(_list(_spans(weekday, list(_DAY_NAMES))))
    yield f"on {(' or ' if either else ', if that is ').join(days)}" if days else "every day"
    if month is not None:
        yield "in " + _list(_spans([m - 1 for m in month], list(_MONTH_NAMES)))


def _spans(values: list[int], names: list[str]) -> Iterator[str]:
    """1, 2, 3, 7 as `1 to 3`, `7`."""
    for _, group in groupby(enumerate(values), lambda pair: pair[1] - pair[0]):
        run = [value for _, value in group]
        if len(run) > 2:
            yield f"{names[run[0]]} to {names[run[-1]]}"
        else:
            yield from (names[value] for value in run)


def _list(parts: Iterator[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
