"""Reads the log again: the files of a period, as tables of the columns that are asked for."""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import StepError, one_line
from components.request_log.entry import DAY
from components.storage.objects import Store

_DATE = "%Y-%m-%d"


def day_of(text: str, option: str) -> datetime:
    """The first moment of a day, in UTC."""
    try:
        return datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{option} {text}: must be a day such as 2026-11-28") from None


def files_of(store: Store, since: datetime | None, until: datetime | None) -> list[str]:
    """The names of the files that may hold requests of this period; a file of the day before may reach into it."""
    first = (since - timedelta(days=1)).strftime(_DATE) if since else ""
    last = until.strftime(_DATE) if until else "9999"
    found = [
        name for name in store.listing(DAY) if name.endswith(".parquet") and first <= name[len(DAY) :][:10] <= last
    ]
    if not found:
        raise StepError(f"{store.location} holds no files of a request log in this period: look at --since and --until")
    return found


def read_tables(
    store: Store,
    names: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """The requests from `since` until before `until`."""
    for name in names:
        try:
            table = pq.read_table(io.BytesIO(store.get(name)), columns=None if columns is None else [*columns])
        except (pa.ArrowException, OSError) as error:
            raise StepError(
                f"{store.location}/{name} can't be read ({one_line(error)}): remove it, or fetch it again"
            ) from None
        if since is not None:
            table = table.filter(pc.greater_equal(table["at"], pa.scalar(since, table["at"].type)))
        if until is not None:
            table = table.filter(pc.less(table["at"], pa.scalar(until, table["at"].type)))
        if table.num_rows:
            yield table
