"""Reads the log again: the requests of a period, and of them the columns that are asked for."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import StepError, one_line
from components.request_log.entry import DAY
from components.storage.objects import Store

_DATE = "%Y-%m-%d"


@dataclass(frozen=True)
class Period:
    """From the first moment of `since` until before the first moment of `until`, in UTC."""

    since: datetime | None = None
    until: datetime | None = None


def period(since: str | None, until: str | None) -> Period:
    return Period(*(None if day is None else _day(day, o) for day, o in ((since, "--since"), (until, "--until"))))


def _day(text: str, option: str) -> datetime:
    try:
        return datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{option} {text}: must be a day such as 2026-11-28") from None


def read_log(store: Store, asked: Period, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A row for each candidate. Columns that some files lack are empty there."""
    tables = list(read_tables(store, asked, columns))
    if not tables:
        raise StepError(f"{store.location} holds no requests of this period: look at --since and --until")
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame


def read_tables(store: Store, asked: Period, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    for name in _files(store, asked):
        try:
            file = pq.ParquetFile(io.BytesIO(store.get(name)))
            known = file.schema_arrow.names
            table = file.read(columns=None if columns is None else [each for each in columns if each in known])
        except (pa.ArrowException, OSError) as error:
            raise StepError(
                f"{store.location}/{name} can't be read ({one_line(error)}): remove it, or fetch it again"
            ) from None
        for limit, keep in ((asked.since, pc.greater_equal), (asked.until, pc.less)):
            if limit is not None:
                table = table.filter(keep(table["at"], pa.scalar(limit, table["at"].type)))
        if table.num_rows:
            yield table


def _files(store: Store, asked: Period) -> list[str]:
    """Those that may hold requests of this period: a file of the day before may reach into it."""
    first = (asked.since - timedelta(days=1)).strftime(_DATE) if asked.since else ""
    last = asked.until.strftime(_DATE) if asked.until else "9999"
    return [
        name
        for name in store.listing(DAY)
        if name.endswith(".parquet") and first <= name.removeprefix(DAY)[:10] <= last
    ]
