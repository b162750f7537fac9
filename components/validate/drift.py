"""How far the data has moved from what the champion was trained on."""

import logging
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from components.dataset import layout
from components.dataset.item_ids import unpack_ids
from components.errors import StepError, one_line
from components.schema.encoder import Encoder
from components.schema.fitted import read_features
from components.storage.files import read_json
from components.validate.catalogue import Catalogue
from components.validate.features import Features
from components.validate.measured import Line, Measured
from components.validate.rows import SplitRows
from components.validate.statistics import FORMAT, item_counts, tag_counts

_log = logging.getLogger(__name__)
_DAMAGED = (KeyError, TypeError, ValueError, AttributeError, zlib.error)  # what reading damaged statistics may raise
_FAR = 1e6  # the distance of vectors of another width: JSON has no infinity


def psi(before: list[int], now: list[int]) -> float:
    """Population stability index of two histograms, less what sampling alone gives on average, never below 0."""
    a, b = np.asarray(before, float) + 0.5, np.asarray(now, float) + 0.5  # half a row keeps empty bins finite
    p, q = a / a.sum(), b / b.sum()
    chance = (len(a) - 1) * (1 / max(1, sum(before)) + 1 / max(1, sum(now)))
    return max(0.0, float(((q - p) * np.log(q / p)).sum()) - chance)


def ks(before: list[int], now: list[int]) -> float:
    """The largest gap between two cumulative distributions."""
    a, b = (np.cumsum(counts) / max(1, sum(counts)) for counts in (before, now))
    return float(np.abs(a - b).max())


def champion_features(champion: Path) -> Encoder:
    """None where there is no champion, or where its package is damaged: `measure_drift` says why."""
    try:
        return read_features(champion / "package")
    except StepError:
        return Encoder((), ())


def measure_drift(
    champion: Path,
    now: dict[str, Any],
    train: SplitRows | None,
    catalogue: Catalogue,
    features: Features,
    measured: Measured,
) -> None:
    """A champion whose statistics cannot be used is no reason to stop: the run that replaces it must get through."""
    version = read_json(champion / "champion.json").get("version")
    if version is None:
        measured.missing("drift", "there is no champion yet to compare with")
        return
    if train is None or "train" not in now:
        measured.missing("drift", "train could not be read")
        return
    try:
        lines, shared = _compare(
            read_statistics(champion / "package" / "statistics.json"), now, train, catalogue, features
        )
    except (StepError, *_DAMAGED) as error:
        reason = f"no statistics of the champion: {one_line(error)}"
        measured.missing("drift", reason)
        _log.warning("validate measures no drift against champion %s: %s", version, reason)
        return
    if not shared:
        measured.missing("drift.embedding", "no vectors come with this data and with the champion's")
    measured.add("drift", "feature", [{**line, "value": float(list(line.values())[2])} for line in lines])


def read_statistics(path: Path) -> dict[str, Any]:
    statistics = read_json(path)
    if not isinstance(statistics, dict) or statistics.get("format") != FORMAT:
        found = statistics.get("format") if isinstance(statistics, dict) else None
        raise StepError(f"{path} has format {found!r}, and this version of mmctr reads {FORMAT}")
    return statistics


def _compare(
    before: dict[str, Any], now: dict[str, Any], train: SplitRows, catalogue: Catalogue, features: Features
) -> tuple[list[Line], list[str]]:
    """A line for each feature, and the columns of vectors that both have."""
    old, new = before["train"], now["train"]
    lines: list[Line] = [
        *(
            {"feature": name, "measure": "PSI", column: psi(old[name], new[name])}
            for name, column in ((layout.LIKES, "likes"), (layout.VIEWS, "views"))
            if name in old and name in new
        ),
        *(
            {
                "feature": name,
                "measure": "PSI",
                "features": named_psi(before["features"][name]["counts"], counts.by_name),
            }
            for name, counts in features.as_before.items()
            if name in before.get("features", {})
        ),
        {"feature": "tags", "measure": "PSI", "tags": named_psi(old["tags"], tag_counts(train, catalogue))},
        {"feature": "items", "measure": "PSI", "items": named_psi(old["items"], item_counts(train))},
        {"feature": "history length", "measure": "KS", "length": ks(old["history_length"], new["history_length"])},
        {"feature": "unseen items", "measure": "share of rows", "unseen_items": _unseen(old["items_seen"], train)},
    ]
    if "train" in before["label_rate"] and "train" in now["label_rate"]:
        gap = abs(now["label_rate"]["train"] - before["label_rate"]["train"])
        lines.append({"feature": "label rate", "measure": "difference", "label_rate": gap})
    shared = sorted(set(before["embeddings"]) & set(now["embeddings"]))
    for column in shared:
        distance = _distance(before["embeddings"][column], now["embeddings"][column])
        lines.append({"feature": column, "measure": "distance of means", "embedding": distance})
    return lines, shared


def named_psi(before: dict[str, Any], now: dict[str, int]) -> float:
    """Over the names that the champion's statistics count, and one bin for all others."""
    names = list(before["top"])
    counts = [now.get(name, 0) for name in names]
    other = sum(now.values()) - sum(counts)
    return psi([*before["top"].values(), before["other"]], [*counts, other])


def _unseen(packed: str, train: SplitRows) -> float:
    seen = unpack_ids(packed)
    return float((~np.isin(train.items, seen)).mean()) if train.rows else 0.0


def _distance(before: dict[str, Any], now: dict[str, Any]) -> float:
    """Between the means, in units of the champion's spread over all dimensions."""
    a, b = np.asarray(before["mean"]), np.asarray(now["mean"])
    if len(a) != len(b):
        return _FAR
    return min(_FAR, float(np.linalg.norm(b - a) / max(1e-9, before["spread"])))
