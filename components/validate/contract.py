"""The files of the data contract: which exist, whether they can be read, and whether they have the right columns."""

from pathlib import Path

from components.dataset.footers import read_footers
from components.validate.measured import Measured
from components.validate.parquet import ContractFile, open_file

_NAMED = 10  # extra columns that the table names; an export can bring thousands


def open_dataset(dataset: Path) -> dict[str, ContractFile]:
    return {name: open_file(dataset, name, footer) for name, footer in read_footers(dataset).items()}


def measure_files(files: dict[str, ContractFile], measured: Measured) -> None:
    """Call it last: broken pages and nulls are found while the other tables are measured."""
    lines = []
    for file in files.values():
        footer = file.footer
        lines.append(
            {
                "file": footer.contract.name,
                "absent": footer.absent,
                "unreadable": footer.unreadable or file.broken,
                "missing_columns": ", ".join(footer.missing),
                "wrong_types": "; ".join(footer.wrong),
                "extra_columns": _shown(footer.extra),
                "nulls": file.nulls,
                "rows": file.rows,
            }
        )
        for column, count in file.null_columns.items():
            measured.examples.setdefault("files.nulls", []).append(
                {"file": footer.contract.name, "column": column, "nulls": count}
            )
    measured.counts["files.nulls"] = sum(file.nulls for file in files.values())
    measured.add("files", "file", lines)


def _shown(columns: tuple[str, ...]) -> str:
    more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
    return ", ".join(map(repr, columns[:_NAMED])) + more
