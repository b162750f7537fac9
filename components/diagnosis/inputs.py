"""What each input is worth to a trained ranker: the AUC on valid with that input replaced by its mean."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from components.diagnosis.finding import CERTAINTY, ONE_USER, Finding, not_measured, surely_above
from components.diagnosis.learning import Rows
from components.diagnosis.neutral import CONTENT
from components.statistics.auc import Floats, auc
from components.statistics.intervals import difference_by_user

Json = dict[str, Any]
CARRIES = 0.5  # share of the AUC above guessing that is lost without the feature


def worth(valid: Rows, without: Floats) -> Json:
    """The AUC with an input, which `valid` was scored with, and without it; the change with its error by user."""
    change = difference_by_user(valid.labels, without, valid.scores, valid.users, CERTAINTY)
    return {
        "rows": len(without),
        "with": auc(valid.labels, valid.scores),
        "without": auc(valid.labels, without),
        "change": change.value,
        "error": change.error,
    }


def input_findings(inputs: Mapping[str, Json]) -> list[Finding]:
    return [_content(inputs), _one_feature(inputs)]


def _content(inputs: Mapping[str, Json]) -> Finding:
    name, title = "content_hurts", "Content lowers the AUC"
    if CONTENT not in inputs:
        return not_measured(name, title, 0.0, "this ranker uses no content")
    found = inputs[CONTENT]
    if not isfinite(found["error"]):
        return not_measured(name, title, 0.0, ONE_USER)
    low = surely_above(found["change"], found["error"])
    return Finding(
        name,
        title,
        low > 0,
        low,
        0.0,
        f"With every item's content replaced by the mean, the AUC on valid is {found['without']:.4f} instead of "
        f"{found['with']:.4f}, so {found['change']:+.4f}, surely at least {low:+.4f}; above 0 content does harm.",
        "Check that content and items belong together (the contact sheet shows neighbours that should look alike). "
        "Then compare, with mmctr study alignment, other ways to use it: model.content_norm, model.content_map, or "
        "similarity and metric in place of concat in model.content.",
    )


def _one_feature(inputs: Mapping[str, Json]) -> Finding:
    name, title = "one_feature", "One feature carries the ranking"
    features = {feature: found for feature, found in inputs.items() if feature != CONTENT}
    if not features:
        return not_measured(name, title, CARRIES, "this ranker uses no features")
    feature, found = min(features.items(), key=lambda each: float(each[1]["change"]))
    if found["with"] <= 0.5:
        return not_measured(name, title, CARRIES, "the ranker is no better than guessing on valid")
    lost = max(0.0, min(1.0, -found["change"] / (found["with"] - 0.5)))
    return Finding(
        name,
        title,
        lost > CARRIES and surely_above(-found["change"], found["error"]) > 0,
        lost,
        CARRIES,
        f"The feature that matters most is {feature}: with it replaced by its mean, the AUC on {found['rows']:,} rows "
        f"of valid is {found['without']:.4f} instead of {found['with']:.4f}, which is {lost:.0%} of what the ranker "
        f"has above guessing; more than {CARRIES:.0%} is suspicious.",
        "Such a feature often tells the label: find out whether it is known before the click, in service as in the "
        "data. If it is not, leave it out of features.yaml; if it is, the rest of the ranker adds next to nothing.",
    )
