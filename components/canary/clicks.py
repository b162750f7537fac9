"""What became of the items that were shown: a file of clicks, or of all shown items with 0 or 1 as their label."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from components.errors import StepError, one_line

REQUEST, ITEM, TIME, LABEL = "request_id", "item_id", "time", "label"


@dataclass(frozen=True)
class Clicks:
    frame: pd.DataFrame  # request_id, item_id, label; each pair once
    shown: bool  # all shown items are there, those without a click too
    late: int  # clicks that came too late, or before their request, and were left out
    unmatched: int  # requests of the file that the log does not hold


def read_clicks(path: Path, requests: "pd.Series[pd.Timestamp]", within_hours: float, own_ids: bool) -> Clicks:
    """`requests` holds the time of each logged request, by its id. `own_ids`: items have own ids, which are texts."""
    texts = {REQUEST: str, ITEM: str} if own_ids else {REQUEST: str}
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=texts)
    except FileNotFoundError:
        raise StepError(f"--clicks {path}: no such file") from None
    except (ValueError, OSError) as error:
        raise StepError(f"--clicks {path}: can't be read as {path.suffix or 'CSV'} ({one_line(error)})") from None
    missing = [name for name in (REQUEST, ITEM) if name not in frame]
    if missing:
        raise StepError(
            f"--clicks {path}: has no column {missing[0]}; it needs {REQUEST} and {ITEM}, and may have {TIME}, {LABEL}"
        )
    if not (pd.api.types.is_integer_dtype(frame[ITEM]) or (own_ids and pd.api.types.is_string_dtype(frame[ITEM]))):
        wanted = "texts or whole numbers" if own_ids else "whole numbers"
        raise StepError(f"--clicks {path}: {ITEM} is of type {frame[ITEM].dtype}; must be {wanted}")
    frame[ITEM] = frame[ITEM].astype(str) if own_ids else frame[ITEM]
    shown = LABEL in frame
    labels = frame[LABEL] if shown else pd.Series(1, index=frame.index)
    if not labels.isin([0, 1]).all():
        raise StepError(f"--clicks {path}: {LABEL} holds {labels[~labels.isin([0, 1])].iloc[0]}; must be 0 or 1")
    frame = frame.assign(**{LABEL: labels.astype(int), REQUEST: frame[REQUEST].astype(str)})
    logged = frame[REQUEST].isin(requests.index)
    unmatched = int(frame.loc[~logged, REQUEST].nunique())
    frame = frame[logged]
    late = pd.Series(False, index=frame.index)
    if TIME in frame:
        after = _times(path, frame[TIME]) - frame[REQUEST].map(requests)
        late = (after < pd.Timedelta(0)) | (after > pd.Timedelta(hours=within_hours))
    frame = frame[~late].groupby([REQUEST, ITEM], as_index=False)[LABEL].max()
    return Clicks(frame, shown, int(late.sum()), unmatched)


def _times(path: Path, column: "pd.Series[object]") -> "pd.Series[pd.Timestamp]":
    try:
        return pd.to_datetime(column, utc=True)
    except (ValueError, TypeError) as error:
        raise StepError(f"--clicks {path}: {TIME} can't be read as a time ({one_line(error)})") from None
