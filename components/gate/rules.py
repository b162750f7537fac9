"""Each rule of the gate: a plain function of the measurements and the policy, that says what it tested in a sentence.

A rule that does not apply (there is no champion to compare with) passes and says so. A number that is missing where
a rule needs it fails that rule: what was not measured was not shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.gate.bounds import bounds_of, slice_alpha
from components.gate.config import GatePolicy

Json = dict[str, Any]
STATUSES = ("clean", "warned", "quarantined", "stopped")  # of validate, from best to worst


@dataclass(frozen=True)
class RuleResult:
    """One line of the verdict: `observed` was tested against `limit`, the sentence is for a reader."""

    name: str
    title: str
    passed: bool
    observed: Any
    limit: Any
    sentence: str
    applies: bool = True


def minimum_rows(metrics: Json, _: Json, policy: GatePolicy) -> RuleResult:
    rows = metrics["rows"]
    passed = rows >= policy.minimum_rows
    text = f"{rows:,} rows were measured; at least {policy.minimum_rows:,} are asked for."
    return RuleResult("minimum_rows", "Enough rows", passed, rows, policy.minimum_rows, text)


def data_verdict(_: Json, validation: Json, policy: GatePolicy) -> RuleResult:
    status = validation["status"]
    passed = STATUSES.index(status) <= STATUSES.index(policy.data)
    text = f"The data checks ended as “{status}”; “{policy.data}” is the worst that may pass."
    return RuleResult("data_verdict", "Data is sound", passed, status, policy.data, text)


def auc_floor(metrics: Json, _: Json, policy: GatePolicy) -> RuleResult:
    auc = metrics["candidate"]["auc"]["value"]
    passed = auc >= policy.auc_floor
    text = f"AUC is {auc:.4f}; the floor is {policy.auc_floor:.4f}."
    return RuleResult("auc_floor", "Ranks well enough", passed, auc, policy.auc_floor, text)


def calibration_ceiling(metrics: Json, _: Json, policy: GatePolicy) -> RuleResult:
    error = metrics["candidate"]["calibration_error"]
    passed = error <= policy.calibration_ceiling
    text = (
        f"Predicted click rates are off by {error:.4f} on average; at most {policy.calibration_ceiling:.4f} is allowed."
    )
    return RuleResult("calibration_ceiling", "Rates can be trusted", passed, error, policy.calibration_ceiling, text)


def beats_click_rate(metrics: Json, _: Json, policy: GatePolicy) -> RuleResult:
    title = "Beats the item's click rate"
    gain = metrics["baselines"]["item_click_rate"]["difference"]
    low = bounds_of(gain, policy.alpha)["low"]
    if low is None:
        return _unmeasured("beats_click_rate", title, policy.baseline_margin)
    passed = low > policy.baseline_margin
    text = (
        f"AUC is {gain['value']:+.4f} against ranking items by their past click rate alone; at "
        f"{_percent(1 - policy.alpha)} certainty at least {low:+.4f}, and more than {policy.baseline_margin:+.4f} is "
        f"asked for."
    )
    return RuleResult("beats_click_rate", title, passed, low, policy.baseline_margin, text)


def champion_readable(metrics: Json, _: Json, policy: GatePolicy) -> RuleResult:
    title, champion = "The champion can be compared", metrics["champion"]
    if champion["status"] == "none":
        return _not_applicable("champion_readable", title, champion)
    readable = champion["status"] == "scored"
    if readable:
        text = f"Champion version {champion['version']} scored the same {metrics['rows']:,} rows."
    else:
        text = f"Champion version {champion['version']} could not score this data: {champion['reason']}"
    passed = readable or policy.unreadable_champion == "absolute-only"
    return RuleResult("champion_readable", title, passed, champion["status"], "scored", text)


def against_champion(metrics: Json, _: Json, policy: GatePolicy) -> RuleResult:
    superior = policy.comparison == "superior"
    name = "superiority" if superior else "non_inferiority"
    title = "Better than the champion" if superior else "Not worse than the champion by more than is allowed"
    if metrics["champion"]["status"] != "scored":
        return _not_applicable(name, title, metrics["champion"])
    gain, limit = metrics["comparison"][policy.unit], 0.0 if superior else -policy.delta
    low = bounds_of(gain, policy.alpha)["low"]
    if low is None:
        return _unmeasured(name, title, limit)
    seen = (
        f"AUC differs by {gain['value']:+.4f} from the champion's; at {_percent(1 - policy.alpha)} certainty it is no "
        f"lower than {low:+.4f}"
    )
    if superior:
        passed = low > limit
        text = f"{seen}, and it must be above 0 (p = {gain['p_better']:.4g} that chance alone shows such a gain)."
    else:
        passed = low >= limit
        text = f"{seen}, and {limit:+.4f} is allowed."
    return RuleResult(name, title, passed, low, limit, text)


def no_slice_worse(metrics: Json, _: Json, policy: GatePolicy) -> RuleResult:
    """A slice fails when it surely lost more than epsilon: when the upper bound of its difference is below -epsilon."""
    name, title = "no_slice_worse", "No group of rows surely lost more than is allowed"
    if metrics["champion"]["status"] != "scored":
        return _not_applicable(name, title, metrics["champion"])
    alpha, limit = slice_alpha(metrics, policy), -policy.slice_epsilon
    parts = [part for part in metrics["slices"] if part["difference"] is not None]
    tested = [(part, high) for part in parts if (high := bounds_of(part["difference"], alpha)["high"]) is not None]
    if not tested:
        return RuleResult(name, title, True, None, limit, "No slice is large enough to be measured.", False)
    worst, observed = min(tested, key=lambda each: each[1])
    failed = [(part, high) for part, high in tested if high < limit]
    certainty = f"at {_percent(1 - policy.alpha)} certainty, shared among {len(parts)} slices"
    if failed:
        names = "; ".join(
            f"{part['group']}, {part['name']} (AUC differs by {part['difference']['value']:+.4f}, surely no higher "
            f"than {high:+.4f})"
            for part, high in sorted(failed, key=lambda each: each[1])
        )
        text = f"Surely lost more than {policy.slice_epsilon:.4f} AUC, {certainty}: {names}."
    else:
        text = (
            f"Nearest to the limit is {worst['group']}, {worst['name']}: AUC differs by "
            f"{worst['difference']['value']:+.4f} from the champion's; {certainty}, the true difference may be as high "
            f"as {observed:+.4f}. A slice fails when that bound is below {limit:+.4f}."
        )
    return RuleResult(name, title, not failed, observed, limit, text)


RULES: tuple[Callable[[Json, Json, GatePolicy], RuleResult], ...] = (
    data_verdict,
    minimum_rows,
    auc_floor,
    calibration_ceiling,
    beats_click_rate,
    champion_readable,
    against_champion,
    no_slice_worse,
)


def _not_applicable(name: str, title: str, champion: Json) -> RuleResult:
    why = "there is no champion yet" if champion["status"] == "none" else "the champion could not score this data"
    return RuleResult(name, title, True, None, None, f"Does not apply: {why}.", False)


def _unmeasured(name: str, title: str, limit: float) -> RuleResult:
    text = "There are too few rows to say how far chance reaches, so this was not shown."
    return RuleResult(name, title, False, None, limit, text)


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
