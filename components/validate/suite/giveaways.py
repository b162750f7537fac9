"""What valid and test share with train, and columns that give the label away."""

from components.validate.suite.rule import Between, Rule, none

LEAKAGE = (
    Rule(
        "users-apart",
        "pairs",
        Between("shared_users", high="max_shared_users"),
        "stop",
        "few users of valid and test are also in train",
        "A split by row instead of by user or by time lets the model memorise people.",
    ),
    Rule(
        "rows-apart",
        "pairs",
        none("identical_rows"),
        "stop",
        "no row of valid or test is also in train",
        "The model would be examined on what it was taught.",
    ),
    Rule(
        "future-apart",
        "pairs",
        Between("clicked_before", high="max_clicked_before"),
        "stop",
        "what returning users click in valid and test is not yet in their histories in train",
        "Histories made from the whole log, and not up to each click, tell the future that the model is tested on.",
    ),
    Rule(
        "histories-apart",
        "pairs",
        Between("copied_rows", high="max_copied_rows"),
        "stop",
        "no (target, history) of valid or test is in train under another user",
        "Rows whose user ids were renewed are still the same rows. Short histories coincide by chance.",
    ),
)

SHORTCUTS = (
    Rule(
        "item-ctr-bounded",
        "baselines",
        Between("item_ctr_auc", high="max_item_ctr_auc"),
        "warn",
        "the click rate of the item alone does not explain the labels",
        "Negatives drawn from another pool than positives are told apart without reading a history.",
    ),
    Rule(
        "no-giveaway",
        "baselines",
        Between("feature_auc", high="max_feature_auc"),
        "stop",
        "no single column predicts the label",
        "Such a column was made after the click; a model learns it and nothing else.",
    ),
    Rule(
        "row-order-random",
        "baselines",
        Between("row_order_auc", high="max_row_order_auc"),
        "stop",
        "the order of rows says nothing about the label",
        "A file sorted by label starves each batch of one class.",
    ),
    Rule(
        "users-mixed",
        "baselines",
        Between("one_sided_users", high="max_one_sided_users"),
        "stop",
        "a user's rows hold clicks and non-clicks",
        "When the two come from different people, who it is gives the answer.",
    ),
    Rule(
        "labels-carry-signal",
        "baselines",
        Between("label_signal", low="min_label_signal"),
        "stop",
        "clicks follow levels, or resemble the history",
        "Shuffled or misaligned labels keep every count and mean nothing.",
    ),
)
