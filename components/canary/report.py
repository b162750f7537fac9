"""Whether a challenger does better than the champion, by the log and the clicks, at every look anew.

In the shadow both versions scored the same requests, so their AUCs are compared on the same rows, users being the units
of chance: the gate's own test. Where users were split, the clicks for each request are compared. A user who saw both
versions, as on KServe, which splits requests, counts once: what the two halves have in common cancels out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from components.canary.clicks import ITEM, LABEL, REQUEST, Clicks, read_clicks
from components.errors import StepError
from components.request_log.read import Period, read_log
from components.statistics.auc import Floats, Ints
from components.statistics.intervals import difference_by_user
from components.statistics.sequential import FEWEST, FEWEST_CLICKS, always_valid
from components.storage.objects import Store
from model.checks import at_least, between, one_of

Mode = Literal["shadow", "split"]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
EFFECT = {"shadow": 0.005, "split": 0.01}  # AUC; clicks for each request
OWN_ITEM = "own_item_id"
_COLUMNS = (REQUEST, "at", "user", "arm", "version", "shadow", ITEM, OWN_ITEM, "logit", "shadow_logit")


@dataclass(frozen=True)
class Question:
    champion: int
    challenger: int
    mode: Mode | None = None  # None: what the log holds
    alpha: float = 0.05
    margin: float = 0.0  # what the challenger may lose; 0: it must be better
    effect: float | None = None  # the difference for which the test is made; EFFECT says what None means
    shown: int | None = None  # of each request the first items were shown; None: all, or what the clicks' file says
    within_hours: float = 24.0  # clicks later than that after their request do not count

    def __post_init__(self) -> None:
        if self.mode is not None:
            one_of("--mode", self.mode, get_args(Mode))
        between("--alpha", self.alpha, 1e-6, 0.5)
        between("--margin", self.margin, 0.0, 1.0)
        if self.effect is not None:
            between("--effect", self.effect, 1e-6, 1.0)
        if self.shown is not None:
            at_least("--shown", self.shown, 1)
        if self.champion == self.challenger:
            raise ValueError(f"--champion and --challenger are both {self.champion}; must be two versions")


def report(store: Store, period: Period, clicks_file: Path, question: Question) -> dict[str, Any]:
    log = read_log(store, period, _COLUMNS)
    own_ids = OWN_ITEM in log and bool(log[OWN_ITEM].notna().any())
    if own_ids:
        log[ITEM] = log[OWN_ITEM].fillna(log[ITEM].astype(str))
    log = _of_both(log, question)
    mode = question.mode or ("shadow" if (log["shadow"] == question.challenger).any() else "split")
    times = log.drop_duplicates(REQUEST).set_index(REQUEST)["at"]
    clicks = read_clicks(clicks_file, times, question.within_hours, own_ids)
    log["unit"] = log["user"].fillna(log[REQUEST])
    found = (_shadow if mode == "shadow" else _split)(log, clicks, question)
    facts = {
        "mode": mode,
        "champion": question.champion,
        "challenger": question.challenger,
        "requests_without_user": int(log.loc[log["user"].isna(), REQUEST].nunique()),
        "late_clicks": clicks.late,
        "clicked_requests_not_in_log": clicks.unmatched,
        "first": times.min().isoformat(),
        "last": times.max().isoformat(),
        "alpha": question.alpha,
        "margin": question.margin,
        "effect": question.effect or EFFECT[mode],
    }
    if "error" not in found:
        why = f"fewer than {FEWEST} users, or too few for {FEWEST_CLICKS} clicks, in a group"
        return {**facts, **found, "verdict": "open", "why": why}
    verdict = judged(found["value"], found["error"], facts["effect"], question.alpha, question.margin)
    return {**facts, **found, **verdict}


def _of_both(log: pd.DataFrame, question: Question) -> pd.DataFrame:
    pair = [question.champion, question.challenger]
    found: pd.DataFrame = log[log["arm"].isin(pair) & log["version"].isin(pair)]
    if found.empty:
        have = ", ".join(map(str, sorted(set(log["version"]))))
        raise StepError(f"the log holds no requests of versions {pair[0]} and {pair[1]}; it holds those of {have}")
    return found.drop_duplicates([REQUEST, ITEM]).copy()


def _shadow(log: pd.DataFrame, clicks: Clicks, question: Question) -> dict[str, Any]:
    """The challenger's AUC less the champion's, on the items that were shown."""
    rows = log[(log["version"] == question.champion) & (log["shadow"] == question.challenger)]
    if question.shown is not None:
        place = rows.groupby(REQUEST)["logit"].rank(ascending=False, method="first")
        rows = rows[place <= question.shown]
    rows = rows.merge(clicks.frame, on=[REQUEST, ITEM], how="inner" if clicks.shown else "left")
    labels = rows[LABEL].fillna(0).to_numpy(int)
    units = pd.factorize(rows["unit"])[0]
    found: dict[str, Any] = {
        "measure": "AUC",
        "users": int(units.max(initial=-1)) + 1,
        "requests": int(rows[REQUEST].nunique()),
        "rows": len(rows),
        "clicks": int(labels.sum()),
    }
    if found["users"] < FEWEST or min(found["clicks"], len(rows) - found["clicks"]) < FEWEST_CLICKS:
        return found
    difference = difference_by_user(labels, rows["shadow_logit"].to_numpy(), rows["logit"].to_numpy(), units, 0.9)
    return found | {"value": difference.value, "error": difference.error}


def _split(log: pd.DataFrame, clicks: Clicks, question: Question) -> dict[str, Any]:
    """Clicks for each request in the challenger's arm, less those in the champion's.

    A request counts for the version that was to answer it, also where the champion stood in: otherwise a challenger
    that fails for difficult requests would look better.
    """
    requests = log.drop_duplicates(REQUEST)[[REQUEST, "unit", "arm", "version"]]
    shown = clicks.frame.merge(log[[REQUEST, ITEM]], on=[REQUEST, ITEM])  # a click on an item that was scored
    counted = requests[REQUEST].map(shown.groupby(REQUEST)[LABEL].sum()).fillna(0).to_numpy(float)
    units = pd.factorize(requests["unit"])[0]
    tried = (requests["arm"] == question.challenger).to_numpy()
    users = [len(np.unique(units[of])) for of in (~tried, tried)]
    found: dict[str, Any] = {
        "measure": "clicks a request",
        "users": users[0],
        "users_challenger": users[1],
        "requests": int((~tried).sum()),
        "requests_challenger": int(tried.sum()),
        "stood_in": int((tried & (requests["version"] == question.champion)).sum()),
        "clicks": int(counted.sum()),
    }
    if not enough(counted, tried, units):
        return found
    value, error = rate_difference(counted, tried, units)
    return found | {"value": value, "error": error, "rate": float(counted[~tried].mean())}


def enough(counted: Floats, tried: Mask, units: Ints) -> bool:
    """Whether both groups have enough users, and could have enough clicks: those that they had must not decide it."""
    users = min(int(np.count_nonzero(np.bincount(units[of]))) for of in (tried, ~tried))
    return users >= FEWEST and bool(counted.mean() * min(tried.sum(), (~tried).sum()) >= FEWEST_CLICKS)


def rate_difference(counted: Floats, tried: Mask, units: Ints) -> tuple[float, float]:
    """The mean of the tried requests less that of the others, and its standard error, users being independent."""
    influence = np.zeros(len(counted))
    means = []
    for of, sign in ((tried, 1.0), (~tried, -1.0)):
        means.append(counted[of].mean())
        influence[of] = sign * (counted[of] - means[-1]) / of.sum()
    by_user = np.bincount(units, weights=influence)
    many = len(by_user)
    return float(means[0] - means[1]), float(np.sqrt((by_user**2).sum() * many / (many - 1)))


def judged(value: float, error: float, effect: float, alpha: float, margin: float) -> dict[str, Any]:
    """`promote`: surely better (or, with a margin, surely not worse by more than it). `worse`: surely. Else `open`."""
    if error == 0:
        return {"verdict": "open", "why": "the two versions do not differ on any user"}
    bounds = always_valid(value, error, effect, alpha, -margin)
    verdict = "promote" if bounds.low > -margin else "worse" if bounds.high < 0 else "open"
    return {"verdict": verdict, "low": bounds.low, "high": bounds.high, "p_better": bounds.p_better}
