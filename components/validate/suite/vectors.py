"""Vectors that come with the data: columns of item_feature, and item_info."""

from components.validate.suite.rule import Between, Empty, Rule, none

EMBEDDINGS = (
    Rule(
        "embeddings-finite",
        "embeddings",
        none("not_finite"),
        "stop",
        "vectors hold no NaN, no infinity and nothing beyond a million",
        "One NaN makes every weight NaN after one step.",
    ),
    Rule(
        "embeddings-width",
        "embeddings",
        none("wrong_width"),
        "stop",
        "vectors of a column have one width",
        "A short vector shifts all that follow it.",
    ),
    Rule(
        "embeddings-filled",
        "embeddings",
        Between("zero_share", high="max_zero_vectors"),
        "stop",
        "vectors are not all zero",
        "A failed encoder writes zeros.",
    ),
    Rule(
        "embeddings-differ",
        "embeddings",
        Between("top_vector_share", high="max_same_vector"),
        "stop",
        "vectors differ from item to item",
        "An encoder fed with the same default input gives the same vector.",
    ),
    Rule(
        "embeddings-alive",
        "embeddings",
        Between("constant_dimensions_share", high="max_constant_dimensions"),
        "stop",
        "dimensions vary over the items",
        "Constant ones are dead units, or a file that was filled by hand.",
    ),
    Rule(
        "item-info-rows",
        "item_info",
        Empty("rows_problem"),
        "stop",
        "row 0 of item_info is padding and row i is item i",
        "The model looks vectors up by position.",
    ),
    Rule(
        "item-info-tags",
        "item_info",
        Between("tags_mismatch_share", high=0.0),
        "stop",
        "item_info has the tags of item_feature",
        "They differ when item_info was made from other items.",
    ),
)
