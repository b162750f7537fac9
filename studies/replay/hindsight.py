"""Whether a column of the data knows what comes later.

A replay cuts the rows at each night, which keeps later rows out. It can't see that a number in an early row was counted
over the whole log. The item's popularity is the usual case, so this looks at items when they are first shown: nothing
was known of them then, and a number that already ranks them by how often they will be clicked was counted later.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import rankdata

from components.dataset.layout import ITEM, LABEL, TIME, USER, WEIGHT
from components.errors import StepError
from studies.replay.timeline import NEVER, Ints, Timeline

MOST = 0.6  # rank correlation; what an item is may tell something of its later clicks, but not nearly all
FEWEST = 20  # items that are first shown after the first night; of fewer a correlation says little
_NOT_FEATURES = {USER, ITEM, LABEL, TIME, WEIGHT}


def measure_hindsight(timeline: Timeline, items: pa.Table, first_night: int) -> dict[str, float]:
    """`items` is item_feature. Returns the rank correlation of each numeric column, by `rows.NAME` and `items.NAME`.

    Items of before the first night are left out: they may have a past that is older than the data.
    """
    rows = timeline.rows()
    seen = timeline.first_seen()
    late = np.flatnonzero((seen >= first_night) & (seen < NEVER))
    item, label = (rows.column(name).to_numpy().astype(np.int64) for name in (ITEM, LABEL))
    clicks = np.bincount(item[label == 1], minlength=len(seen))
    first_row = np.full(len(seen), -1)
    first_row[item[::-1]] = np.arange(len(item))[::-1]
    shown = late[first_row[late] >= 0]
    found = {}
    for name, values in _numbers(rows).items():
        found[f"rows.{name}"] = _agreement(values[first_row[shown]], clicks[shown])
    ids = items.column(ITEM).to_numpy().astype(np.int64)
    place = {int(id_): row for row, id_ in enumerate(ids)}
    listed = np.array([id_ for id_ in shown.tolist() if id_ in place], dtype=np.int64)
    at = np.array([place[int(id_)] for id_ in listed], dtype=np.int64)
    for name, values in _numbers(items).items():
        found[f"items.{name}"] = _agreement(values[at], clicks[listed])
    return {name: agreement for name, agreement in found.items() if agreement is not None}


def check_hindsight(agreements: dict[str, float]) -> None:
    for name, agreement in agreements.items():
        if agreement > MOST:
            table, _, column = name.partition(".")
            raise StepError(
                f"{column} of the {table} knows the future: for items that nobody had seen before, it ranks how often "
                f"they are clicked later with a correlation of {agreement:.2f}; at most {MOST} can be chance or merit. "
                "Count it up to each row's own moment, or leave it out"
            )


def _numbers(table: pa.Table) -> dict[str, npt.NDArray[np.float64]]:
    return {
        name: table.column(name).to_numpy().astype(np.float64)
        for name in table.column_names
        if name not in _NOT_FEATURES
        and (pa.types.is_integer(table.schema.field(name).type) or pa.types.is_floating(table.schema.field(name).type))
    }


def _agreement(values: npt.NDArray[np.float64], clicks: Ints) -> float | None:
    """Spearman's rank correlation; None where there is too little to tell."""
    known = np.isfinite(values)
    values, clicks = values[known], clicks[known]
    if len(values) < FEWEST or values.min() == values.max() or clicks.min() == clicks.max():
        return None
    return float(np.corrcoef(rankdata(values), rankdata(clicks))[0, 1])
