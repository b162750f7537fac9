"""Each rule of the gate: a plain function of the measurements and the policy, that says what it saw in a sentence.

A rule that does not apply (there is no champion to compare with) passes and says so. A number that is missing where
a rule needs it fails that rule: what was not measured was not shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scipy.stats import norm

from components.gate.config import GatePolicy

Json = dict[str, Any]
STATUSES = ("clean", "warned", "quarantined", "stopped")  # of validate, from best to worst


@dataclass(frozen=True)
class Rule:
    """One line of the verdict. `observed` and `limit` are what was compared; the sentence is for a reader."""

    name: str
    title: str
    passed: bool
    observed: Any
    limit: Any
    sentence: str
    applies: bool = True


def minimum_rows(metrics: Json, _: Json, policy: GatePolicy) -> Rule:
    rows = metrics["rows"]
    passed = rows >= policy.minimum_rows
    text = f"{rows:,} rows were measured; at least {policy.minimum_rows:,} are asked for."
    return Rule("minimum_rows", "Enough rows", passed, rows, policy.minimum_rows, text)


def data_verdict(_: Json, validation: Json, policy: GatePolicy) -> Rule:
    status = validation["status"]
    passed = STATUSES.index(status) <= STATUSES.index(policy.data)
    text = f"The data checks ended as “{status}”; “{policy.data}” is the worst that may pass."
    return Rule("data_verdict", "Data is sound", passed, status, policy.data, text)


def auc_floor(metrics: Json, _: Json, policy: GatePolicy) -> Rule:
    auc = metrics["candidate"]["auc"]["value"]
    passed = auc >= policy.auc_floor
    text = f"AUC is {auc:.4f}; the floor is {policy.auc_floor:.4f}."
    return Rule("auc_floor", "Ranks well enough", passed, auc, policy.auc_floor, text)


def calibration_ceiling(metrics: Json, _: Json, policy: GatePolicy) -> Rule:
    error = metrics["candidate"]["calibration_error"]
    passed = error <= policy.calibration_ceiling
    text = (
        f"Predicted click rates are off by {error:.4f} on average; at most {policy.calibration_ceiling:.4f} is allowed."
    )
    return Rule("calibration_ceiling", "Rates can be trusted", passed, error, policy.calibration_ceiling, text)


def beats_click_rate(metrics: Json, _: Json, policy: GatePolicy) -> Rule:
    title = "Beats the item's click rate"
    gain = metrics["baselines"]["item_click_rate"]["difference"]
    low = _lower_bound(gain, policy.alpha)
    if low is None:
        return _unmeasured("beats_click_rate", title, policy.baseline_margin)
    passed = low > policy.baseline_margin
    text = (
        f"AUC is {gain['value']:+.4f} against ranking items by their past click rate alone; at "
        f"{_percent(1 - policy.alpha)} certainty at least {low:+.4f}, and more than {policy.baseline_margin:+.4f} is "
        f"asked for."
    )
    return Rule("beats_click_rate", title, passed, low, policy.baseline_margin, text)


def champion_readable(metrics: Json, _: Json, policy: GatePolicy) -> Rule:
    title, champion = "The champion can be compared", metrics["champion"]
    if champion["status"] == "none":
        return _not_applicable("champion_readable", title, champion)
    readable = champion["status"] == "scored"
    if readable:
        text = f"Champion version {champion['version']} scored the same {metrics['rows']:,} rows."
    else:
        text = f"Champion version {champion['version']} could not score this data: {champion['reason']}"
    passed = readable or policy.unreadable_champion == "absolute-only"
    return Rule("champion_readable", title, passed, champion["status"], "scored", text)


def against_champion(metrics: Json, _: Json, policy: GatePolicy) -> Rule:
    superior = policy.comparison == "superior"
    name, title = ("superiority", "Better than the champion") if superior else (
        "non_inferiority", "Not worse than the champion")  # fmt: skip
    if metrics["champion"]["status"] != "scored":
        return _not_applicable(name, title, metrics["champion"])
    gain = metrics["comparison"][policy.unit]
    low = _lower_bound(gain, policy.alpha)
    if low is None:
        return _unmeasured(name, title, 0.0 if superior else -policy.delta)
    seen = f"AUC differs by {gain['value']:+.4f} from the champion's"
    if superior:
        p_value = gain["p_better"]
        passed = p_value < policy.alpha
        text = (
            f"{seen}; chance alone would show such a gain with p = {p_value:.4g}, below {policy.alpha:g} is asked for."
        )
        return Rule(name, title, passed, p_value, policy.alpha, text)
    passed = low >= -policy.delta
    text = (
        f"{seen}; at {_percent(1 - policy.alpha)} certainty it is no lower than {low:+.4f}, "
        f"{-policy.delta:+.4f} is allowed."
    )
    return Rule(name, title, passed, low, -policy.delta, text)


def no_slice_worse(metrics: Json, _: Json, policy: GatePolicy) -> Rule:
    """A slice fails when it lost more than epsilon and chance does not explain that it lost at all.

    Certainty is shared among the slices (Bonferroni), or with thirty of them one would fail by luck most nights.
    """
    name, title = "no_slice_worse", "No group of rows is left behind"
    if metrics["champion"]["status"] != "scored":
        return _not_applicable(name, title, metrics["champion"])
    measured = [part for part in metrics["slices"] if part["difference"] is not None]
    if not measured:
        return Rule(name, title, True, None, -policy.slice_epsilon, "No slice is large enough to be measured.", False)
    alpha = policy.alpha / len(measured)
    worst = min(measured, key=lambda part: part["difference"]["value"])
    failed = [part for part in measured if _surely_lost(part["difference"], policy.slice_epsilon, alpha)]
    observed = worst["difference"]["value"]
    if failed:
        names = "; ".join(f"{p['group']}, {p['name']} ({p['difference']['value']:+.4f})" for p in failed)
        text = f"Surely worse, by more than {policy.slice_epsilon:.4f} AUC: {names}."
    else:
        text = (
            f"Of {len(measured)} slices the worst against the champion is {worst['group']}, {worst['name']} "
            f"({observed:+.4f} AUC); none surely lost more than {policy.slice_epsilon:.4f}."
        )
    return Rule(name, title, not failed, observed, -policy.slice_epsilon, text)


RULES: tuple[Callable[[Json, Json, GatePolicy], Rule], ...] = (
    data_verdict, minimum_rows, auc_floor, calibration_ceiling, beats_click_rate,
    champion_readable, against_champion, no_slice_worse,
)  # fmt: skip


def _surely_lost(difference: Json, epsilon: float, alpha: float) -> bool:
    if difference["error"] is None:
        return False
    high = difference["value"] + float(norm.isf(alpha)) * difference["error"]
    return bool(difference["value"] < -epsilon and high < 0)


def _lower_bound(gain: Json, alpha: float) -> float | None:
    """One-sided, at the policy's certainty; None where the spread could not be measured."""
    if gain["error"] is None:
        return None
    return float(gain["value"] - norm.isf(alpha) * gain["error"])


def _not_applicable(name: str, title: str, champion: Json) -> Rule:
    why = "there is no champion yet" if champion["status"] == "none" else "the champion could not score this data"
    return Rule(name, title, True, None, None, f"Does not apply: {why}.", False)


def _unmeasured(name: str, title: str, limit: float) -> Rule:
    return Rule(name, title, False, None, limit, "Too few rows to say how far chance reaches; so it is not shown.")


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
