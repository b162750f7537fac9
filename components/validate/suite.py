"""The suite: every rule that a dataset must pass, in one table.

A rule holds a column of a measured table (`measured.py` says which tables there are) between limits. A limit is a
number, or the name of the field of `ValidatePolicy` that holds it. Great Expectations decides each rule
(`expectations.py`); the numbers it decides on come from the modules that tell one story each.

What a failed rule does is its severity:
- stop        nothing that costs money starts;
- quarantine  the rows are moved aside, and the run goes on while they are few (`max_quarantined`);
- warn        the run goes on, and the person who reviews the model reads about it.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["stop", "quarantine", "warn"]
Limit = float | str | None


@dataclass(frozen=True)
class Between:
    """Each value of `column` lies in [low, high], for at least `mostly` of the table's lines."""

    column: str
    low: Limit = None
    high: Limit = None
    mostly: float | str = 1.0


@dataclass(frozen=True)
class Filled:
    """Each text of `column` holds more than blanks, for at least `mostly` of the table's lines."""

    column: str
    mostly: float | str = 1.0


@dataclass(frozen=True)
class Empty:
    """Each text of `column` is empty: the measurement writes there what it found wrong."""

    column: str
    mostly: float | str = 1.0


@dataclass(frozen=True)
class Distinct:
    """No value of `column` comes twice."""

    column: str


Check = Between | Filled | Empty | Distinct


@dataclass(frozen=True)
class Rule:
    name: str
    table: str
    check: Check
    severity: Severity
    what: str  # what good data does
    why: str  # what it costs when it does not


def none(column: str) -> Between:
    """A count that must be zero."""
    return Between(column, high=0)


def _drift(feature: str, measure: str, what: str, why: str, warn: str, stop: str) -> tuple[Rule, Rule]:
    """Drift is why a model is trained again, so ordinary drift warns; only a broken feed should stop the run."""
    column = feature.replace("-", "_")
    return (
        Rule(f"{feature}-drift", "drift", Between(column, high=warn), "warn", f"{what} ({measure})", why),
        Rule(f"{feature}-break", "drift", Between(column, high=stop), "stop", f"{what}, within reason ({measure})",
             f"{why} A jump this large is more often a broken feed than a new taste."),
    )  # fmt: skip


FILES = (
    Rule("files-present", "files", Empty("absent"), "stop", "every file of the data contract is there",
         "A dataset without one of its splits or its items cannot be trained on."),
    Rule("files-readable", "files", Empty("unreadable"), "stop", "every file can be read to its last row",
         "A truncated upload reads well until its end, hours into a training."),
    Rule("columns-present", "files", Empty("missing_columns"), "stop", "no column of the data contract is missing",
         "A renamed column means that the producer changed the format."),
    Rule("column-types", "files", Empty("wrong_types"), "stop", "every column has the contract's type",
         "Float ids are what one missing value makes of whole numbers; above 2^24 they merge items."),
    Rule("no-nulls", "files", none("nulls"), "stop", "no value is missing",
         "There is no id for 'unknown': a null would be read as some item."),
    Rule("no-extra-columns", "files", Empty("extra_columns"), "warn", "no column beyond the data contract",
         "Nobody reads it, and tomorrow it may hold what was known only after the click."),
)  # fmt: skip

ROWS = (
    Rule("target-known", "rows", none("target_unknown"), "stop", "every target is an item of item_feature",
         "An item without title, tags and picture cannot be scored; ids off by one show here first."),
    Rule("history-known", "rows", none("history_unknown"), "stop", "every item of a history is in item_feature",
         "Such clicks have no vector, and the table of items would be read past its end."),
    Rule("target-not-padding", "rows", none("target_is_padding"), "stop", "no target is item 0, the padding",
         "Item 0 has an all-zero vector by construction: the row teaches nothing but bias."),
    Rule("user-valid", "rows", none("user_negative"), "stop", "no user id is negative",
         "Negative ids are how overflow and 'unknown' look."),
    Rule("left-padding", "rows", none("right_padded"), "stop", "histories are padded on the left, and only there",
         "The model reads the last positions as the newest clicks: right padding hands it empty ones."),
    Rule("history-width", "rows", none("history_too_long"), "stop", "no history is longer than the contract's width",
         "Longer ones are cut at serving, so training would see what serving does not."),
    Rule("levels-range", "rows", none("level_out_of_range"), "stop", "likes_level and views_level lie in 0..10",
         "Levels index an embedding table of 11 rows."),
    Rule("label-binary", "rows", none("label_not_binary"), "stop", "labels are 0 or 1",
         "Anything else is another target (a rating, a probability, a missing mark) in the label's place."),
    Rule("target-not-in-history", "rows", none("target_in_history"), "quarantine",
         "no row's target is already in its own history",
         "A history cut after the click instead of before it contains the answer."),
    Rule("rows-distinct", "rows", none("duplicate"), "quarantine", "no (user, item, history) comes twice in a split",
         "A doubled export counts its rows twice, and a doubled valid set shrinks error bars that are not smaller."),
    Rule("quarantine-small", "splits", Between("quarantined_share", high="max_quarantined"), "stop",
         "few rows are moved aside", "Many bad rows are not accidents: the rest is suspect too."),
    Rule("split-size", "splits", Between("rows", low="min_rows"), "stop", "every split has enough rows",
         "A metric on a handful of rows decides nothing."),
    Rule("train-largest", "splits", Between("rows_of_train", high=1.0), "stop", "train is the largest split",
         "Otherwise the files are swapped, or an export of train was cut."),
    Rule("history-filled", "splits", Between("short_history_share", high="max_short_histories"), "stop",
         "most rows have a history", "New users have none, but a lost join leaves nobody any."),
    Rule("label-rate", "splits", Between("label_rate", low="min_label_rate", high="max_label_rate"), "stop",
         "the share of clicks lies within bounds", "Inverted labels and lost negatives show here."),
    Rule("label-rate-agrees", "splits", Between("label_rate_gap", high="max_label_rate_gap"), "stop",
         "train and the other splits have about the same share of clicks",
         "Splits made by different samplings cannot be compared: calibration and log loss would mislead."),
    Rule("levels-agree", "splits", Between("level_mismatch_share", high="max_level_mismatch"), "stop",
         "a row's levels are those of its item in item_feature",
         "When they differ the item rows were mixed up, ids were shifted, or two columns were swapped."),
    Rule("levels-vary", "splits", Between("level_values", low=2), "stop", "levels take more than one value",
         "A constant column is a lost join."),
    Rule("items-vary", "splits", Between("top_item_share", high="max_top_item"), "stop",
         "no single item makes up most of a split", "A default id in the place of a lost one looks like this."),
    Rule("users-vary", "splits", Between("top_user_share", high="max_top_user"), "stop",
         "no single user makes up most of a split", "Bots, test accounts and default ids look like this."),
    Rule("histories-vary", "splits", Between("top_history_share", high="max_top_history"), "stop",
         "no single history makes up most of a split", "A broken join gives every row the same clicks."),
)  # fmt: skip

ITEMS = (
    Rule("item-ids-distinct", "items", Distinct("item_id"), "stop", "item_feature has one row an item",
         "Of two rows the later one would win in silence."),
    Rule("item-ids-valid", "items", Between("item_id", low=0, high="max_item_id"), "stop",
         "item ids are small whole numbers", "The item table has one row for each id up to the largest."),
    Rule("item-levels-range", "items", none("level_out_of_range"), "stop", "an item's levels lie in 0..10",
         "Levels index an embedding table of 11 rows."),
    Rule("titles-filled", "items", Filled("item_title", mostly="min_titles"), "stop", "items have a title",
         "The text encoder gives every empty title the same vector."),
    Rule("titles-differ", "items_whole", Between("top_title_share", high="max_same_title"), "stop",
         "titles differ from item to item", "One title for all is a placeholder or a broken join."),
    Rule("tags-present", "items", Between("tags", low=1, mostly="min_tagged"), "stop", "items have a tag",
         "A lost join with the tag table leaves the lists empty."),
    Rule("tags-known", "items", none("bad_tags"), "stop", "tags are positive ids, or texts that are not empty",
         "Tags index an embedding table: a negative or blank one belongs to no tag."),
    Rule("tags-differ", "items_whole", Between("top_tags_share", high="max_same_tags"), "stop",
         "tags differ from item to item", "The same tags for all say nothing about any."),
    Rule("content-fits-items", "content", Between("coherence", low="min_coherence"), "stop",
         "items clicked one after another are more alike than items drawn at random",
         "When titles, tags or vectors were handed to the wrong items nothing else shows it: every value is valid."),
)  # fmt: skip

IMAGES = (
    Rule("images-present", "items", Between("has_image", low=1, mostly="min_images"), "stop", "items have a picture",
         "A missing shard leaves a whole range of items without one."),
    Rule("images-whole", "images", Empty("problem"), "warn", "every picture can be decoded to its last line",
         "The embedding step gives such an item an average picture."),
    Rule("images-decodable", "images", Empty("problem", mostly="min_decodable"), "stop",
         "nearly all pictures can be decoded",
         "A cut transfer damages many, and an error page that was saved as a picture repeats."),
    Rule("images-differ", "images_whole", Between("top_image_share", high="max_same_image"), "stop",
         "pictures differ from item to item", "A placeholder in place of pictures has one and the same vector."),
)  # fmt: skip

EMBEDDINGS = (
    Rule("embeddings-finite", "embeddings", none("not_finite"), "stop",
         "vectors hold no NaN, no infinity and nothing beyond a million",
         "One NaN makes every weight NaN after one step."),
    Rule("embeddings-width", "embeddings", none("wrong_width"), "stop", "vectors of a column have one width",
         "A short vector shifts all that follow it."),
    Rule("embeddings-filled", "embeddings", Between("zero_share", high="max_zero_vectors"), "stop",
         "vectors are not all zero", "A failed encoder writes zeros."),
    Rule("embeddings-differ", "embeddings", Between("top_vector_share", high="max_same_vector"), "stop",
         "vectors differ from item to item", "An encoder fed with the same default input gives the same vector."),
    Rule("embeddings-alive", "embeddings", Between("constant_dimensions_share", high="max_constant_dimensions"),
         "stop", "dimensions vary over the items", "Constant ones are dead units, or a file that was filled by hand."),
    Rule("item-info-rows", "item_info", Empty("rows_problem"), "stop",
         "row 0 of item_info is padding and row i is item i", "The model looks vectors up by position."),
    Rule("item-info-tags", "item_info", Between("tags_mismatch_share", high=0.0), "stop",
         "item_info has the tags of item_feature", "They differ when item_info was made from other items."),
)  # fmt: skip

LEAKAGE = (
    Rule("users-apart", "pairs", Between("shared_users", high="max_shared_users"), "stop",
         "few users of valid and test are also in train",
         "A split by row instead of by user or by time lets the model memorise people."),
    Rule("rows-apart", "pairs", none("identical_rows"), "stop", "no row of valid or test is also in train",
         "The model would be examined on what it was taught."),
    Rule("future-apart", "pairs", Between("clicked_before", high="max_clicked_before"), "stop",
         "what returning users click in valid and test is not yet in their histories in train",
         "Histories made from the whole log, and not up to each click, tell the future that the model is tested on."),
    Rule("histories-apart", "pairs", Between("copied_rows", high="max_copied_rows"), "stop",
         "no (target, history) of valid or test is in train under another user",
         "Rows whose user ids were renewed are still the same rows. Short histories coincide by chance."),
)  # fmt: skip

SHORTCUTS = (
    Rule("item-ctr-bounded", "baselines", Between("item_ctr_auc", high="max_item_ctr_auc"), "warn",
         "the click rate of the item alone does not explain the labels",
         "Negatives drawn from another pool than positives are told apart without reading a history."),
    Rule("no-giveaway", "baselines", Between("feature_auc", high="max_feature_auc"), "stop",
         "no single column predicts the label",
         "Such a column was made after the click; a model learns it and nothing else."),
    Rule("row-order-random", "baselines", Between("row_order_auc", high="max_row_order_auc"), "stop",
         "the order of rows says nothing about the label", "A file sorted by label starves each batch of one class."),
    Rule("users-mixed", "baselines", Between("one_sided_users", high="max_one_sided_users"), "stop",
         "a user's rows hold clicks and non-clicks",
         "When the two come from different people, who it is gives the answer."),
    Rule("labels-carry-signal", "baselines", Between("label_signal", low="min_label_signal"), "stop",
         "clicks follow levels, or resemble the history",
         "Shuffled or misaligned labels keep every count and mean nothing."),
)  # fmt: skip

DRIFT = (
    *_drift("likes", "PSI", "likes levels are distributed as for the champion",
            "Deciles that moved mean another population, or another binning.", "psi_warn", "psi_stop"),
    *_drift("views", "PSI", "views levels are distributed as for the champion",
            "Deciles that moved mean another population, or another binning.", "psi_warn", "psi_stop"),
    *_drift("tags", "PSI", "tags of the items shown are distributed as for the champion",
            "A new vocabulary of tags has nothing in common with the learned one.", "psi_warn", "psi_stop"),
    *_drift("items", "PSI", "items are shown as often as for the champion",
            "Renumbered ids hand each item another one's past.", "items_psi_warn", "items_psi_stop"),
    *_drift("length", "KS", "histories are as long as for the champion",
            "Cut or padded histories change what the transformer sees.", "ks_warn", "ks_stop"),
    *_drift("label-rate", "difference", "the share of clicks is that of the champion's data",
            "Scores are calibrated to it.", "label_rate_warn", "label_rate_stop"),
    *_drift("unseen-items", "share", "most rows are about items that the champion knows",
            "The champion can only score those by content.", "unseen_warn", "unseen_stop"),
    *_drift("embedding", "distance of means", "vectors have the champion's mean",
            "Another encoder, or another normalisation, moves all vectors at once.",
            "embedding_warn", "embedding_stop"),
)  # fmt: skip

RULES: tuple[Rule, ...] = (*FILES, *ROWS, *ITEMS, *IMAGES, *EMBEDDINGS, *LEAKAGE, *SHORTCUTS, *DRIFT)
BY_NAME = {rule.name: rule for rule in RULES}
ROW_RULES = tuple(rule.name for rule in RULES if rule.table == "rows")
