"""How far the data has moved from what the champion was trained on."""

from components.validate.suite.rule import Between, Rule


def _drift(feature: str, measure: str, what: str, why: str, warn: str, stop: str) -> tuple[Rule, Rule]:
    """Drift is why a model is trained again, so ordinary drift warns; only a broken feed should stop the run."""
    column = feature.replace("-", "_")
    return (
        Rule(f"{feature}-drift", "drift", Between(column, high=warn), "warn", f"{what} ({measure})", why),
        Rule(
            f"{feature}-break",
            "drift",
            Between(column, high=stop),
            "stop",
            f"{what}, within reason ({measure})",
            f"{why} A jump this large is more often a broken feed than a new taste.",
        ),
    )


DRIFT = (
    *_drift(
        "likes",
        "PSI",
        "likes levels are distributed as for the champion",
        "Deciles that moved mean another population, or another binning.",
        "psi_warn",
        "psi_stop",
    ),
    *_drift(
        "views",
        "PSI",
        "views levels are distributed as for the champion",
        "Deciles that moved mean another population, or another binning.",
        "psi_warn",
        "psi_stop",
    ),
    *_drift(
        "tags",
        "PSI",
        "tags of the items shown are distributed as for the champion",
        "A new vocabulary of tags has nothing in common with the learned one.",
        "psi_warn",
        "psi_stop",
    ),
    *_drift(
        "features",
        "PSI",
        "declared features are distributed as for the champion",
        "A feature whose values moved means another population, or another way to measure it.",
        "psi_warn",
        "psi_stop",
    ),
    *_drift(
        "items",
        "PSI",
        "items are shown as often as for the champion",
        "Renumbered ids hand each item another one's past.",
        "items_psi_warn",
        "items_psi_stop",
    ),
    *_drift(
        "length",
        "KS",
        "histories are as long as for the champion",
        "Cut or padded histories change what the transformer sees.",
        "ks_warn",
        "ks_stop",
    ),
    *_drift(
        "label-rate",
        "difference",
        "the share of clicks is that of the champion's data",
        "Scores are calibrated to it.",
        "label_rate_warn",
        "label_rate_stop",
    ),
    *_drift(
        "unseen-items",
        "share",
        "most rows are about items that the champion knows",
        "The champion can only score those by content.",
        "unseen_warn",
        "unseen_stop",
    ),
    *_drift(
        "embedding",
        "distance of means",
        "vectors have the champion's mean",
        "Another encoder, or another normalisation, moves all vectors at once.",
        "embedding_warn",
        "embedding_stop",
    ),
)
