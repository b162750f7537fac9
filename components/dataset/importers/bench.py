"""The MicroLens protocol of MMCTR-Bench (github.com/hdu-yzl/MMCTR-Bench) on the public MicroLens_1M_MMCTR release.

The benchmark takes the release's train.parquet alone, and draws 80% of its rows for train, 10% for valid and 10% for
test: it shuffles an array of that many marks with `numpy.random.RandomState(42)`. A row keeps the newest 5 items of its
history. Its models know user, item, history and the two content vectors, and no levels or tags.
"""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.dataset.footers import READ_ERRORS, first_line
from components.dataset.importers.report import ImportReport
from components.dataset.layout import (
    HISTORY,
    IMAGE_EMBEDDING,
    IMPORTED,
    ITEM,
    LABEL,
    SPLITS,
    TEXT_EMBEDDING,
    TITLE,
    USER,
    find_file,
    item_feature_path,
    split_path,
)
from components.errors import StepError
from components.process.progress import progress
from components.schema.declared import FILE
from components.storage.files import full_disk_in_one_line, whole_folder, write_json

SEED, NEWEST = 42, 5
ROWS_A_READ = 65_536
COLUMNS = (USER, ITEM, HISTORY, LABEL)
ITEM_COLUMNS = (ITEM, TITLE, TEXT_EMBEDDING, IMAGE_EMBEDDING)
NO_FEATURES = "# MMCTR-Bench's models know no levels, tags or other features.\nfeatures: []\n"


def microlens_bench(release: Path, out: Path) -> ImportReport:
    """Writes the benchmark's splits to `out`. The same release gives the same rows as the benchmark's own program."""
    train, items = _opened(release, "train.parquet", COLUMNS), _opened(release, "item_feature.parquet", ITEM_COLUMNS)
    with full_disk_in_one_line(out), whole_folder(out, IMPORTED) as folder:
        (folder / FILE).write_text(NO_FEATURES)
        _copy(items, item_feature_path(folder))
        lines = _write_splits(train, folder)
        write_json(folder / IMPORTED, {"importer": "microlens-bench", "seed": SEED, "newest": NEWEST})
    return ImportReport(
        (*lines, f"item_feature.parquet: {items.metadata.num_rows:,} items with text and image vectors")
    )


def split_of_rows(rows: int, seed: int = SEED) -> npt.NDArray[np.uint8]:
    """For each row of train.parquet the place of its split in `SPLITS`, as the benchmark draws it."""
    first, second = int(rows * 0.8), int(rows * 0.9)
    places = np.repeat(np.arange(3, dtype=np.uint8), [first, second - first, rows - second])
    np.random.RandomState(seed).shuffle(places)
    return places


def _opened(release: Path, name: str, columns: tuple[str, ...]) -> pq.ParquetFile:
    path = find_file(release, name)
    if path is None:
        raise StepError(f"{release} has no {name}: give the folder that MicroLens_1M_MMCTR was unpacked into")
    try:
        file = pq.ParquetFile(path)
    except READ_ERRORS as error:
        raise StepError(f"{path} is damaged ({first_line(error)}): fetch it again") from None
    missing = [column for column in columns if column not in file.schema_arrow.names]
    if missing:
        raise StepError(f"{path} has no column {missing[0]!r}: the benchmark reads {', '.join(columns)}")
    return file


def _copy(items: pq.ParquetFile, path: Path) -> None:
    schema = pa.schema([items.schema_arrow.field(name) for name in ITEM_COLUMNS])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in items.iter_batches(batch_size=ROWS_A_READ // 16, columns=list(ITEM_COLUMNS)):
            writer.write_batch(batch.select(list(ITEM_COLUMNS)))


def _write_splits(train: pq.ParquetFile, folder: Path) -> list[str]:
    rows, first = train.metadata.num_rows, 0
    places, clicks = split_of_rows(rows), dict.fromkeys(SPLITS, 0)
    with ExitStack() as files, progress("split train.parquet", rows, "rows") as bar:
        writers: dict[str, pq.ParquetWriter] = {}
        for batch in train.iter_batches(batch_size=ROWS_A_READ, columns=list(COLUMNS)):
            table = pa.Table.from_batches([batch]).select(list(COLUMNS))
            newest = _newest(table[HISTORY])
            table = table.set_column(COLUMNS.index(HISTORY), HISTORY, newest)
            here = places[first : first + len(table)]
            for place, split in enumerate(SPLITS):
                part = table.filter(pa.array(here == place))
                if split not in writers:
                    path = split_path(folder, split)
                    writers[split] = files.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
                writers[split].write_table(part)
                clicks[split] += int(pc.sum(part[LABEL]).as_py() or 0)
            first += len(table)
            bar.advance(len(table))
    counts = np.bincount(places, minlength=3)
    return [f"{split}.parquet: {counts[place]:,} rows, {clicks[split]:,} clicks" for place, split in enumerate(SPLITS)]


def _newest(histories: pa.ChunkedArray) -> pa.Array:
    """The last entries of each history, padding on the left included: it fills histories that are shorter."""
    lists = histories.combine_chunks()
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
    ends = np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False))
    starts = np.maximum(ends - NEWEST, np.concatenate([[0], ends[:-1]]))
    lengths = ends - starts
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    taken = lists.flatten().take(pa.array(np.repeat(starts, lengths) + within))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), taken)
