"""Features as served against features as trained: the log of requests, held against the statistics that travel with the
version.

The distances and their limits are those by which validation judges drift between two data sets. One is added: a column
that was mixed up among the rows has the right values in the wrong places, and shows only in what it says of another.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.dataset.item_ids import unpack_ids
from components.dataset.layout import MAX_HISTORY
from components.errors import StepError
from components.packages.format import STATISTICS
from components.request_log.entry import FEATURE
from components.schema.encoder import FeatureError, FittedFeature
from components.schema.fitted import read_features
from components.statistics.association import Pair
from components.statistics.auc import Ints
from components.validate.config import ValidatePolicy
from components.validate.drift import ks, named_psi, psi, read_statistics
from components.validate.features import Counts, label
from components.validate.statistics import item_counts_of, item_ranks

FEWEST = 1000  # rows of the log
LOST = 0.5  # share of what a column says of another that may be missing


@dataclass(frozen=True)
class Line:
    feature: str
    measure: str
    value: float
    limit: float
    why: str = ""

    @property
    def skewed(self) -> bool:
        return bool(self.why) or self.value > self.limit

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "skewed": self.skewed}


def skew(log: pd.DataFrame, package: Path, policy: ValidatePolicy) -> list[Line]:
    """`log` holds the requests that one version answered; `package` is that version's."""
    if len(log) < FEWEST:
        raise StepError(f"the log holds {len(log):,} rows of this version; at least {FEWEST:,} are needed")
    before = read_statistics(package / STATISTICS)
    encoder = read_features(package)
    # A request of one user repeats the history and the user's features in each of its rows.
    once = (log["position"] == 0) | (log["route"] != "/rank")
    items, lengths = log["item_id"].to_numpy(np.int64), log["history_length"].to_numpy(np.int64).clip(0, MAX_HISTORY)
    codes: dict[str, Ints] = {"items": item_ranks(items, before["train"]["items"]["top"]), "history length": lengths}
    lines: list[Line] = []
    for feature in encoder.row:
        name = _name(feature, before)
        column = log.get(FEATURE + feature.name)
        if column is None:
            lines.append(Line(name, "PSI", 0.0, policy.psi_warn, "the log has no values of it"))
            continue
        counts = Counts()
        try:
            codes[name] = counts.add(feature, column.to_list())
        except FeatureError as error:
            lines.append(Line(name, "PSI", 0.0, policy.psi_warn, str(error)))
            continue
        if feature.of == "user":
            counts = Counts()
            counts.add(feature, column[once].to_list())
        lines += _of_feature(name, feature, counts, before, policy)
    lengths_once = lengths[once.to_numpy()]
    shown = np.bincount(lengths_once, minlength=MAX_HISTORY + 1).tolist()
    seen = unpack_ids(before["train"]["items_seen"])
    unknown = log.loc[once, "history_unknown"].sum() / max(1, log.loc[once, "history_length"].sum())
    lines += [
        Line("items", "PSI", named_psi(before["train"]["items"], item_counts_of(items)), policy.items_psi_warn),
        Line("items", "share never shown in train", float((~np.isin(items, seen)).mean()), policy.unseen_warn),
        Line("items", "share unknown to the version", float((~log["known"]).mean()), policy.unseen_warn),
        Line("history length", "KS", ks(before["train"]["history_length"], shown), policy.ks_warn),
        Line("history", "share of unknown items", float(unknown), policy.unseen_warn),
        *_mixed_up(codes, before.get("pairs", {})),
    ]
    return lines


def _name(feature: FittedFeature, before: dict[str, Any]) -> str:
    """The challenge's levels are counted by their column, declared features by their label."""
    return feature.name if feature.name in before["train"] else label(feature)


def _of_feature(
    name: str, feature: FittedFeature, counts: Counts, before: dict[str, Any], policy: ValidatePolicy
) -> list[Line]:
    if name in before["train"]:
        old = before["train"][name]
        new = [counts.codes.get(code, 0) for code in range(len(old))]
        return [Line(name, "PSI", psi(old, new), policy.psi_warn)]
    old = before["features"][name]
    missing = abs(counts.share(counts.missing) - old["missing"])
    lines = [Line(name, "PSI", named_psi(old["counts"], counts.by_name), policy.psi_warn)]
    if not feature.levels:  # whose 0 is a value
        lines.append(Line(name, "difference in the share missing", missing, policy.max_missing_gap))
    if feature.kind != "number" and not feature.levels:
        lines.append(Line(name, "share unknown", counts.share(counts.unknown), policy.max_unknown))
    return lines


def _mixed_up(codes: dict[str, Ints], pairs: dict[str, Any]) -> list[Line]:
    found = {name: Pair(**saved) for name, saved in pairs.items()}
    return [
        Line(
            name,
            f"share of what it says of {pair.partner} that is lost",
            pair.lost(codes[name], codes[pair.partner]),
            LOST,
        )
        for name, pair in found.items()
        if name in codes and pair.partner in codes
    ]
