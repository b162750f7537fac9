"""Ways to damage a dataset as accidents do: a transfer, a join, a cast, a sampling gone wrong."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset import layout
from tests.unit.validate.good_data import as_lists, edit, histories, ints, with_column, with_histories

Damage = Callable[[Path], None]


def cut(file: str, share: float) -> Damage:
    def damage(data: Path) -> None:
        content = (data / file).read_bytes()
        (data / file).write_bytes(content[: int(len(content) * share)])

    return damage


def overwrite(file: str, content: bytes) -> Damage:
    def damage(data: Path) -> None:
        (data / file).write_bytes(content)

    return damage


def scramble_pages(data: Path) -> None:
    """The footer stays whole: only reading to the end finds it."""
    path = data / "train.parquet"
    content = bytearray(path.read_bytes())
    content[200:2200] = bytes(2000)
    path.write_bytes(bytes(content))


def remove(file: str) -> Damage:
    return lambda data: (data / file).unlink()


def cast(column: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    return lambda table: with_column(table, column, table.column(column).cast(kind))


def put(column: str, where: slice, value: int) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = ints(table, column)
        values[where] = value
        return with_column(table, column, values)

    return change


def history(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: with_histories(table, change(histories(table)))


def swap(first: str, second: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        a, b = table.column(first), table.column(second)
        return with_column(with_column(table, first, b), second, a)

    return change


def right_pad(values: np.ndarray) -> np.ndarray:
    order = np.argsort(values == 0, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1)


def right_pad_first(rows: int) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = histories(table)
        values[:rows] = right_pad(values[:rows])
        return with_histories(table, values)

    return change


def hole(values: np.ndarray) -> np.ndarray:
    values[::7, -2] = 0
    return values


def travel(table: pa.Table) -> pa.Table:
    """The history was cut after the click: its newest entry is the target."""
    values, clicked = histories(table), ints(table, layout.LABEL) == 1
    values[clicked, :-1] = values[clicked, 1:]
    values[clicked, -1] = ints(table, layout.ITEM)[clicked]
    return with_histories(table, values)


def lose_negatives(share: float) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        keep = (ints(table, layout.LABEL) == 1) | (np.random.default_rng(2).random(table.num_rows) > share)
        return table.filter(pa.array(keep))

    return change


def swap_files(first: str, second: str) -> Damage:
    def damage(data: Path) -> None:
        (data / first).rename(data / "kept")
        (data / second).rename(data / first)
        (data / "kept").rename(data / second)

    return damage


def same(column: str, row: int = 0) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        return with_column(table, column, table.column(column).take(np.full(table.num_rows, row)).combine_chunks())

    return change


def latin_titles(table: pa.Table) -> pa.Table:
    raw = pa.array(["Caf\xe9".encode("latin-1")] * table.num_rows, pa.binary())
    return with_column(table, layout.TITLE, raw.cast(pa.string(), safe=False))


def titles(values: Callable[[int], str]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: with_column(table, layout.TITLE, [values(i) for i in range(table.num_rows)])


def vectors(column: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Table], pa.Table]:
    def edited(table: pa.Table) -> pa.Table:
        flat = np.array(table.column(column).combine_chunks().flatten().to_numpy(), np.float32)
        return with_column(table, column, as_lists(change(flat.reshape(table.num_rows, -1))))

    return edited


def one_nan(values: np.ndarray) -> np.ndarray:
    values[17, 3] = np.nan
    return values


def half_dead(values: np.ndarray) -> np.ndarray:
    values[:, : values.shape[1] // 2] = 0.25
    return values


def short_vector(table: pa.Table) -> pa.Table:
    rows = table.column(layout.TEXT_EMBEDDING).to_pylist()
    rows[4] = rows[4][:-1]
    return with_column(table, layout.TEXT_EMBEDDING, pa.array(rows, pa.list_(pa.float32())))


def pictures(change: Callable[[int, bytes], bytes | None]) -> Damage:
    """Rewrites the shard; None leaves a picture out."""

    def damage(data: Path) -> None:
        (path,) = data.glob("item_images-*.tar")
        with tarfile.open(path) as tar:
            found = [(m.name, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]
        with tarfile.open(path, "w") as tar:
            for name, content in found:
                changed = change(int(Path(name).stem), content)
                if changed is not None:
                    member = tarfile.TarInfo(name)
                    member.size = len(changed)
                    tar.addfile(member, io.BytesIO(changed))

    return damage


def users_of_train(data: Path) -> None:
    users = ints(pq.read_table(data / "train.parquet"), layout.USER)
    edit("test", lambda t: with_column(t, layout.USER, users[: t.num_rows]))(data)


def histories_of_the_whole_log(data: Path) -> None:
    """Split by time, so half of test's users return; but train's histories were made after test."""
    train, test = pq.read_table(data / "train.parquet"), pq.read_table(data / "test.parquet")
    users, returning = ints(test, layout.USER), np.unique(ints(train, layout.USER))[:75]
    some = np.unique(users)[:75]
    renamed = np.where(np.isin(users, some), returning[np.searchsorted(some, users).clip(max=74)], users)
    test = with_column(test, layout.USER, renamed)
    pq.write_table(test, data / "test.parquet")
    clicked = dict(
        zip(
            renamed[ints(test, layout.LABEL) == 1].tolist(),
            test.filter(pa.array(ints(test, layout.LABEL) == 1)).column(layout.ITEM).to_pylist(),
            strict=True,
        )
    )
    values, targets = histories(train), ints(train, layout.ITEM)
    for row, user in enumerate(ints(train, layout.USER).tolist()):
        if user in clicked and clicked[user] != targets[row]:
            values[row, :-1], values[row, -1] = values[row, 1:].copy(), clicked[user]
    pq.write_table(with_histories(train, values), data / "train.parquet")


def rows_of_train(fresh_users: bool) -> Damage:
    def damage(data: Path) -> None:
        train = pq.read_table(data / "train.parquet").slice(0, 60)
        if fresh_users:
            train = with_column(train, layout.USER, ints(train, layout.USER) + 90_000_000)
        edit("test", lambda t: pa.concat_tables([t, train.select(t.column_names)]))(data)

    return damage


def by_label(table: pa.Table) -> pa.Table:
    return table.take(np.argsort(ints(table, layout.LABEL), kind="stable"))


def strangers_as_negatives(table: pa.Table) -> pa.Table:
    """Clicks and non-clicks come from different people."""
    users, labels = ints(table, layout.USER), ints(table, layout.LABEL)
    users[labels == 0] += 50_000_000
    users[labels == 1] = users[labels == 1] // 2
    return with_column(table, layout.USER, users)


def everywhere(change: Callable[[pa.Table], pa.Table], files: tuple[str, ...]) -> Damage:
    def damage(data: Path) -> None:
        for file in files:
            edit(file, change)(data)

    return damage


def rebin(table: pa.Table) -> pa.Table:
    """Levels become a flag, as consistent as before."""
    for column in (layout.LIKES, layout.VIEWS):
        table = with_column(table, column, (ints(table, column) > 9).astype(np.int64))
    return table


def renumber(table: pa.Table) -> pa.Table:
    table = with_column(table, layout.ITEM, ints(table, layout.ITEM) + 1000)
    if layout.HISTORY in table.column_names:
        values = histories(table)
        table = with_histories(table, np.where(values > 0, values + 1000, 0))
    return table


def mirror_ids(table: pa.Table) -> pa.Table:
    """The same ids, each another item's."""
    values = histories(table)
    table = with_column(table, layout.ITEM, 101 - ints(table, layout.ITEM))
    return with_histories(table, np.where(values > 0, 101 - values, 0))


def new_tags(table: pa.Table) -> pa.Table:
    tags = [[tag + 5000 for tag in row] for row in table.column(layout.TAGS).to_pylist()]
    return with_column(table, layout.TAGS, pa.array(tags, pa.list_(pa.int64())))


def last_click_only(values: np.ndarray) -> np.ndarray:
    values[:, :-1] = 0
    return values


def shift_item_info(table: pa.Table) -> pa.Table:
    """Written without its padding row: every item is looked up as the one before it."""
    return table.slice(1)


def placeholder_pictures(data: Path) -> None:
    """Half of the items have the picture of the first."""
    first: list[bytes] = []

    def change(item: int, content: bytes) -> bytes:
        first.append(content)
        return first[0] if item % 2 else content

    pictures(change)(data)
