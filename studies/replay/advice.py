"""Which policy to use: the cheapest that is shown to serve nearly as well as the best."""

from collections.abc import Sequence
from typing import Any

from components.report.words import fixed, signed

Json = dict[str, Any]
ALIKE = 0.002  # AUC that a cheaper policy may lose


def advise(policies: Sequence[Json]) -> Json:
    """`policies` have a name, `auc`, `cpu_minutes` a night and `difference`, their AUC minus the best one's."""
    measured = [policy for policy in policies if policy["auc"] is not None]
    if not measured:
        told = "No day has an AUC yet: nothing served, or all its rows had one label."
        return {"use": None, "best": None, "alike": ALIKE, "frontier": [], "sentence": told}
    best = max(measured, key=lambda policy: float(policy["auc"]["value"]))
    by_cost = sorted(measured, key=lambda policy: (policy["cpu_minutes"], -policy["auc"]["value"]))
    use = next(policy for policy in by_cost if policy is best or _as_good(policy))
    return {
        "use": use["name"],
        "best": best["name"],
        "alike": ALIKE,
        "frontier": [policy["name"] for policy in by_cost if _on_frontier(policy, measured)],
        "sentence": _sentence(use, best, by_cost),
    }


def _as_good(policy: Json) -> bool:
    low = policy["difference"]["low"]
    return low is not None and low >= -ALIKE


def _on_frontier(policy: Json, others: Sequence[Json]) -> bool:
    """No other policy serves at least as well for no more processor time."""
    auc, cost = policy["auc"]["value"], policy["cpu_minutes"]
    return not any(
        other["auc"]["value"] >= auc
        and other["cpu_minutes"] <= cost
        and (other["auc"]["value"], -other["cpu_minutes"]) != (auc, -cost)
        for other in others
    )


def _sentence(use: Json, best: Json, by_cost: Sequence[Json]) -> str:
    if use is not best:
        return (
            f"Use “{use['name']}”: at 95% certainty it serves no more than {ALIKE:g} AUC below “{best['name']}”, the "
            f"best ({_difference(use)}), and it costs {_minutes(use)} a night instead of {_minutes(best)}."
        )
    cheaper = [policy for policy in by_cost if policy["cpu_minutes"] < best["cpu_minutes"]]
    if not cheaper:
        return f"Use “{use['name']}”: it served best and costs least, {_minutes(use)} of processor time a night."
    nearest = max(cheaper, key=lambda policy: float(policy["auc"]["value"]))
    return (
        f"Use “{use['name']}”: it served best (AUC {fixed(use['auc']['value'])}) and costs {_minutes(use)} a night. No "
        f"cheaper policy is shown to come within {ALIKE:g} AUC of it; the nearest, “{nearest['name']}”, differs by "
        f"{_difference(nearest)} and costs {_minutes(nearest)}."
    )


def _difference(policy: Json) -> str:
    found = policy["difference"]
    if found["low"] is None:
        return signed(found["value"])
    return f"{signed(found['value'])}, 95% {signed(found['low'])} to {signed(found['high'])}"


def _minutes(policy: Json) -> str:
    return f"{policy['cpu_minutes']:.2f} CPU minutes"
