"""A team's own table: one Parquet or CSV file, or a folder of such files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.dataset.importers.log.engine import Engine, name, text
from components.errors import StepError

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".csv.zst")


@dataclass(frozen=True)
class Source:
    path: Path
    files: tuple[Path, ...]
    relation: str  # SQL that reads it
    types: dict[str, str]  # column -> DuckDB's type; all cells of a CSV are texts

    def require(self, role: str, column: str) -> None:
        if column not in self.types:
            has = ", ".join(list(self.types)[:12]) or "no column"
            raise StepError(f"{self.path} lacks the column {column!r} ({role}): it has {has}")

    def loaded(self, engine: Engine, table: str, columns: Iterable[str]) -> "Source":
        """The same with these columns; those of a CSV as a table, because parsing it for each question is slow."""
        kept = [column for column in dict.fromkeys(columns) if column in self.types]
        if not self.relation.startswith("read_csv") or not kept:
            return self
        try:
            engine.run(f"CREATE TABLE {table} AS SELECT {', '.join(map(name, kept))} FROM {self.relation}")
        except StepError as error:
            raise StepError(f"{self.path}: {error}") from None
        return Source(self.path, self.files, table, {column: self.types[column] for column in kept})

    def refuse(self, engine: Engine, column: str, wrong: str, allowed: str) -> None:
        """Raises StepError with the first row for which the SQL condition `wrong` holds, if there is one."""
        (count,) = engine.row(f"SELECT count(*) FROM {self.relation} WHERE {wrong}")
        if count:
            row, value = engine.row(
                f"SELECT row, value FROM (SELECT row_number() OVER () AS row, {name(column)} AS value, {wrong} AS "
                f"wrong FROM {self.relation}) WHERE wrong ORDER BY row LIMIT 1"
            )
            more = f" (and {count - 1:,} more rows)" if count > 1 else ""
            raise StepError(f"{self.path}, row {row}: {column} = {_shown(value)} must be {allowed}{more}")


def open_source(engine: Engine, path: Path, what: str) -> Source:
    """`what` says in an error what the table should be."""
    files = _files(path, what)
    kinds = {_kind(file) for file in files}
    if len(kinds) > 1:
        raise StepError(f"{path} holds both Parquet and CSV files; {what} must be of one kind")
    listed = "[" + ", ".join(text(str(file)) for file in files) + "]"
    if kinds == {"parquet"}:
        relation = f"read_parquet({listed})"
    else:
        relation = f"read_csv({listed}, all_varchar = true, header = true, nullstr = '')"
    try:
        described = engine.rows(f"DESCRIBE SELECT * FROM {relation}")
    except StepError as error:
        raise StepError(f"{path}: {error}") from None
    return Source(path, files, relation, {str(row[0]): str(row[1]) for row in described})


def is_table(path: Path) -> bool:
    return path.is_file() and bool(_kind(path))


def _files(path: Path, what: str) -> tuple[Path, ...]:
    if path.is_dir():
        found = tuple(sorted(file for file in path.iterdir() if file.is_file() and _kind(file)))
        if not found:
            raise StepError(f"{path} holds no Parquet and no CSV file; {what} should lie there")
        return found
    if not path.is_file():
        raise StepError(f"{path} is not there; {what} should be a Parquet or CSV file, or a folder of them")
    if not _kind(path):
        raise StepError(f"{path} must end in {', '.join((*_PARQUET, *_CSV))}")
    return (path,)


def _kind(path: Path) -> str:
    lower = path.name.lower()
    if lower.startswith((".", "_")):  # what Spark and editors leave beside the files
        return ""
    return "parquet" if lower.endswith(_PARQUET) else "csv" if lower.endswith(_CSV) else ""


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:60]
