"""Reads a CSV as texts, and says in one line what is wrong with it."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.errors import StepError

_LARGEST = 2**62  # an id beyond this is a mistake, and leaves no room to compute with


def read_csv(path: Path, columns: tuple[str, ...]) -> Any:
    """A frame of texts with these columns; an empty cell is an empty text."""
    if not path.is_file():
        raise StepError(f"{path} is missing: it should hold the columns {', '.join(columns)}")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StepError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): convert it first") from None
    except (ValueError, OverflowError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise StepError(f"{path} is not a readable CSV: {_first_line(error)}") from None
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        has = ", ".join(map(repr, frame.columns[:8]))
        raise StepError(f"{path} lacks the column {missing[0]!r}: it has {has}, and needs {', '.join(columns)}")
    if frame.empty:
        raise StepError(f"{path} has no rows")
    return frame[list(columns)].fillna("").reset_index(drop=True)


def whole_numbers(path: Path, frame: Any, column: str, minimum: int) -> npt.NDArray[np.int64]:
    texts = frame[column].str.strip()
    good = texts.str.fullmatch(r"-?[0-9]{1,18}").to_numpy(dtype=bool)
    if not good.all():
        _refuse(path, frame, column, int(np.flatnonzero(~good)[0]), "must be a whole number")
    values: npt.NDArray[np.int64] = texts.to_numpy().astype(np.int64)
    outside = np.flatnonzero((values < minimum) | (values > _LARGEST))
    if outside.size:
        _refuse(path, frame, column, int(outside[0]), f"must be at least {minimum}")
    return values


def numbers(path: Path, frame: Any, column: str) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = pd.to_numeric(frame[column].str.strip(), errors="coerce").to_numpy(
        dtype=np.float64
    )
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        _refuse(path, frame, column, int(bad[0]), "must be a number")
    return values


def _refuse(path: Path, frame: Any, column: str, row: int, allowed: str) -> None:
    # Line 1 is the header. A line break inside a quoted cell makes the count of lines larger than that of rows.
    raise StepError(f"{path}, row {row + 1}: {column} = {frame[column].iloc[row]!r} {allowed}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
