"""What good data is, as a policy: each limit, and what each rule does when it fails, can be set by a run."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

from components.validate.suite import BY_NAME, ROW_RULES, Rule, Severity
from model.checks import at_least, between, one_of

_COUNTS = ("min_rows", "min_history", "images_decoded", "max_item_id", "examples")
_UNBOUNDED = (
    "psi_warn",
    "psi_stop",
    "items_psi_warn",
    "items_psi_stop",
    "embedding_warn",
    "embedding_stop",
    "min_coherence",
    "min_label_signal",
)


UserPolicy = Literal["apart", "returning"]
_ONE_VISIT = ("users-apart", "future-apart", "target-not-in-history")
ESSENTIAL = (  # training refuses data that breaks one of these
    "files-present",
    "files-readable",
    "columns-present",
    "column-types",
    "no-nulls",
    "history-width",
    "levels-range",
    "item-levels-range",
    "features-usable",
)


@dataclass(frozen=True)
class ValidatePolicy:
    """Shares are between 0 and 1. The defaults pass the sample, MovieLens-100k and, as far as they are known, the
    challenge's files.

    `users=returning` is for a log that is split by time and in which people come back and click the same item again.
    The rules that assume that each user is in one split and clicks an item only once then warn instead of stopping.
    """

    severities: tuple[str, ...] = ()  # what a rule does when it fails, where that differs: "users-apart=warn"
    users: UserPolicy = "apart"  # `returning` if users come back in later splits
    examples: int = 10  # failing rows or items that the verdict names for each rule

    # Rows
    min_rows: int = 100  # rows that each split needs
    min_history: int = 1  # a history with fewer clicks counts as missing
    max_short_histories: float = 0.2  # largest share of rows without a history; MovieLens has 2%
    max_quarantined: float = 0.01  # largest share of a split's rows that may be moved aside
    min_label_rate: float = 0.01  # smallest share of clicks in a split
    max_label_rate: float = 0.6  # largest share of clicks; the challenge has 0.25, and 0.75 if labels were inverted
    max_label_rate_gap: float = 0.1  # largest difference in the share of clicks between train and another split
    max_level_mismatch: float = 0.01  # largest share of rows whose levels differ from those of their item
    min_level_agreement: float = 0.5  # least correlation with the items' levels, if levels are counted up to each click
    max_top_item: float = 0.5  # largest share of a split's rows that one item may have
    max_top_user: float = 0.5  # largest share of a split's rows that one user may have
    max_top_history: float = 0.5  # largest share of a split's rows that one history may have

    # Items
    max_item_id: int = 20_000_000  # the item table has a row for each id up to the largest: 10 GB at this limit
    min_titles: float = 0.98  # smallest share of items with a title
    max_same_title: float = 0.5  # largest share of items with the same title
    min_tagged: float = 0.9  # smallest share of items with a tag
    max_same_tags: float = 0.8  # largest share of items with the same tags
    min_images: float = 0.9  # smallest share of items with a picture, if the data has any pictures
    min_decodable: float = 0.99  # smallest share of pictures that can be decoded
    images_decoded: int = 2000  # pictures that are decoded: a sample, the same in every run; 0 decodes all
    max_same_image: float = 0.2  # largest share of items with the same picture
    max_zero_vectors: float = 0.05  # largest share of vectors that are all zero
    max_same_vector: float = 0.2  # largest share of items with the same vector
    max_constant_dimensions: float = 0.1  # largest share of dimensions that are the same in every vector
    min_coherence: float = 3.0  # standard errors by which items clicked in succession are more alike than chance

    # Features that features.yaml declares
    max_missing: float = 0.5  # largest share of rows or items in train without a value of a feature
    max_missing_gap: float = 0.2  # largest difference in the share of missing values between train and another split
    max_unknown: float = 0.3  # largest share of rows of a split, or of items, whose value train does not have

    # Leakage. A split by time shares the users who return (42% in MovieLens' test); a split by row shares nearly all
    max_shared_users: float = 0.8  # largest share of a split's users who are also in train
    max_copied_rows: float = 0.005  # largest share of rows whose item and history are in train under another user
    max_clicked_before: float = 0.1  # largest share of returning users' clicks that train's histories already hold

    # Shortcuts: how well a single column predicts the label, as an AUC
    max_item_ctr_auc: float = 0.97  # largest AUC of the item's click rate alone
    max_feature_auc: float = 0.95  # largest AUC of any single column
    max_row_order_auc: float = 0.6  # largest AUC of the row number
    max_one_sided_users: float = 0.8  # largest share of users with clicks only or non-clicks only, beyond chance
    min_label_signal: float = 4.0  # standard errors by which the clearest baseline differs from AUC 0.5; 0: any will do

    # Drift against the champion
    psi_warn: float = 0.25  # PSI (population stability index) of a feature or of the tags that warns
    psi_stop: float = 2.0  # PSI of a feature or of the tags that stops the run
    items_psi_warn: float = 0.5  # PSI of the items shown that warns; items change faster than levels
    items_psi_stop: float = 4.0  # PSI of the items shown that stops the run
    ks_warn: float = 0.15  # Kolmogorov-Smirnov distance of the history lengths that warns
    ks_stop: float = 0.6  # Kolmogorov-Smirnov distance of the history lengths that stops the run
    label_rate_warn: float = 0.05  # change in the share of clicks that warns
    label_rate_stop: float = 0.2  # change in the share of clicks that stops the run
    unseen_warn: float = 0.3  # share of rows about items unknown to the champion that warns
    unseen_stop: float = 0.9  # share of rows about items unknown to the champion that stops the run
    embedding_warn: float = 0.25  # shift of the vectors' mean that warns; 1 is the champion's standard deviation
    embedding_stop: float = 1.0  # shift of the vectors' mean that stops the run

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _COUNTS:
                at_least(f"validate.{field.name}", value, 0)
            elif field.name in _UNBOUNDED:
                at_least(f"validate.{field.name}", value, 0.0)
            elif field.name not in ("severities", "users"):
                between(f"validate.{field.name}", value, 0.0, 1.0)
        one_of("validate.users", self.users, get_args(UserPolicy))
        for override in self.severities:
            _check_override(override)

    def severity(self, rule: Rule) -> Severity:
        chosen: Severity = "warn" if self.users == "returning" and rule.name in _ONE_VISIT else rule.severity
        for override in self.severities:  # the last word counts, as on a command line
            name, _, value = override.partition("=")
            if name == rule.name:
                chosen = value  # type: ignore[assignment]
        return chosen

    def limit(self, limit: float | str | None) -> float | None:
        return float(getattr(self, limit)) if isinstance(limit, str) else limit


def _check_override(override: str) -> None:
    name, separator, severity = override.partition("=")
    if not separator:
        raise ValueError(f"validate.severities = {override!r}: must look like rule=severity, e.g. users-apart=warn")
    one_of(f"validate.severities: rule of {override!r}", name, sorted(BY_NAME))
    one_of(f"validate.severities: severity of {override!r}", severity, get_args(Severity))
    if severity == "warn" and name in ESSENTIAL:
        raise ValueError(
            f"validate.severities = {override!r}: {name} can't be lowered to a warning, because training refuses data "
            "that breaks it; mend the data"
        )
    if severity == "quarantine" and name not in ROW_RULES:
        raise ValueError(
            f"validate.severities = {override!r}: only a rule about single rows can move rows aside: "
            f"{', '.join(ROW_RULES)}"
        )
