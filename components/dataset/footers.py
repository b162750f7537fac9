"""What the footers of a dataset's files say: is every file and column of the data contract there, with the right type?

A Parquet footer holds the columns and the number of rows, so this takes milliseconds whatever the size of the data.
`mmctr run --data` and `mmctr data add` check this before anything starts, and the validate step applies its rules to
the same findings.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset import layout
from components.errors import StepError
from components.schema.declared import FILE, Declared, Schema, column_type, read_schema
from components.schema.encoder import FittedFeature

# What pyarrow raises on truncated, overwritten or crafted bytes: its own errors (some are ValueError or KeyError as
# well), OSError from pages, UnicodeDecodeError from names, MemoryError and OverflowError from absurd sizes.
READ_ERRORS = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, MemoryError, OverflowError)


def is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


_KINDS: dict[str, Callable[[pa.DataType], bool]] = {
    "an integer": is_integer,
    "a number": is_number,
    "a text": is_text,
    "an integer or a text": lambda kind: is_integer(kind) or is_text(kind) or bool(pa.types.is_boolean(kind)),
    "a list of integers": lambda kind: is_list(kind) and is_integer(kind.value_type),
    "a list of integers or texts": lambda kind: (
        is_list(kind) and (is_integer(kind.value_type) or is_text(kind.value_type))
    ),
    "a list of numbers": lambda kind: is_list(kind) and is_number(kind.value_type),
    "a list of floats": lambda kind: is_list(kind) and bool(pa.types.is_floating(kind.value_type)),
}
ROW = {layout.USER: "an integer", layout.ITEM: "an integer", layout.HISTORY: "a list of integers"}
_LABEL = {layout.LABEL: "an integer"}
_OF_ROWS = {layout.TIME: "an integer", layout.WEIGHT: "a number"}
_TAGS = {layout.TAGS: "a list of integers or texts"}


@dataclass(frozen=True)
class FileContract:
    """The columns of one file, as column -> kind in words. Those in `optional` may be left out."""

    name: str
    required: dict[str, str]
    optional: dict[str, str] = field(default_factory=dict)


def contracts(schema: Schema) -> dict[str, FileContract]:
    """The files that every data set has: `train`, `valid`, `test`, `item_feature`."""
    split = {**ROW, **feature_columns((*schema.row, *schema.event))}
    vectors = {layout.TEXT_EMBEDDING: "a list of floats", layout.IMAGE_EMBEDDING: "a list of floats"}
    tags_required, tags_optional = ({}, _TAGS) if schema.from_file else (_TAGS, {})
    texts = dict.fromkeys(schema.texts, "a text")
    item = {layout.ITEM: "an integer", **texts, **tags_required, **feature_columns(schema.item)}
    return {
        "train": FileContract("train.parquet", {**split, **_LABEL}, _OF_ROWS),
        "valid": FileContract("valid.parquet", {**split, **_LABEL}, _OF_ROWS),
        "test": FileContract("test.parquet", split, {**_LABEL, **_OF_ROWS}),  # the public challenge's test has no label
        "item_feature": FileContract("item_feature.parquet", item, {**tags_optional, **vectors}),
    }


def feature_columns(features: Sequence[Declared | FittedFeature]) -> dict[str, str]:
    return {feature.name: column_type(feature) for feature in features}


ITEM_INFO = FileContract(  # the whole file is optional: the embed step makes it
    "item_info.parquet",
    {
        layout.ITEM: "an integer",
        layout.TAGS: "a list of integers",
        layout.ITEM_EMBEDDING: "a list of floats",
    },
)


@dataclass(frozen=True)
class Footer:
    """What one file's footer says, compared with its contract. Empty texts and lists mean that nothing is wrong."""

    contract: FileContract
    schema: pa.Schema | None = None
    rows: int = 0
    absent: str = ""
    unreadable: str = ""
    missing: tuple[str, ...] = ()  # columns
    wrong: tuple[str, ...] = ()  # sentences about types, and about names that come twice
    extra: tuple[str, ...] = ()  # columns that the contract does not name

    @property
    def usable(self) -> bool:
        return self.schema is not None and not (self.missing or self.wrong)

    @property
    def problems(self) -> list[str]:
        name = self.contract.name
        found = [self.absent] if self.absent else []
        found += [f"{name} {self.unreadable}"] if self.unreadable else []
        found += [f"{name} lacks the column {column} ({self.contract.required[column]})" for column in self.missing]
        return found + [f"{name}: {text}" for text in self.wrong]


def read_footer(path: Path, contract: FileContract) -> Footer:
    if not path.is_file():
        return Footer(contract, absent=f"{contract.name} is not there")
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, int(file.metadata.num_rows)
    except READ_ERRORS as error:
        size = f"{path.stat().st_size:,} bytes"
        return Footer(contract, unreadable=f"is not a whole parquet file ({size}): {first_line(error)}")
    times = Counter(schema.names)
    known = {**contract.required, **contract.optional}
    wrong = [
        f"{column} is {schema.field(column).type}, must be {kind}"
        for column, kind in known.items()
        if times[column] == 1 and not _KINDS[kind](schema.field(column).type)
    ]
    return Footer(
        contract,
        schema,
        rows,
        missing=tuple(column for column in contract.required if not times[column]),
        wrong=(*wrong, *(f"the column {column!r} comes {count} times" for column, count in times.items() if count > 1)),
        extra=tuple(column for column in times if column not in known),
    )


def read_footers(folder: Path) -> dict[str, Footer]:
    """By `train`, `valid`, `test`, `item_feature` and, where the folder has one, `item_info`."""

    def read(contract: FileContract) -> Footer:
        return read_footer(layout.find_file(folder, contract.name) or folder / contract.name, contract)

    footers = {name: read(contract) for name, contract in contracts(read_schema(folder)).items()}
    info = read(ITEM_INFO)
    return footers if info.absent else {**footers, "item_info": info}


def check_footers(folder: Path) -> None:
    """Raises StepError with everything that is wrong, when no training could run on this folder."""
    if not folder.is_dir():
        raise StepError(f"{folder} is not a folder: give the one that holds train.parquet and the other files")
    problems = [problem for footer in read_footers(folder).values() for problem in footer.problems]
    if problems:
        declared = f"the files or {FILE}" if (folder / FILE).is_file() else "the files"
        raise StepError(
            f"{folder} does not keep the data contract: {'; '.join(problems)}. Mend {declared}, or convert other "
            "data: mmctr import --help"
        )


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
