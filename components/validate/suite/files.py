"""The files of the data contract."""

from components.validate.suite.rule import Empty, Rule, none

FILES = (
    Rule(
        "files-present",
        "files",
        Empty("absent"),
        "stop",
        "every file of the data contract is there",
        "A dataset without one of its splits or its items cannot be trained on.",
    ),
    Rule(
        "files-readable",
        "files",
        Empty("unreadable"),
        "stop",
        "every file can be read to its last row",
        "A truncated upload reads well until its end, hours into a training.",
    ),
    Rule(
        "columns-present",
        "files",
        Empty("missing_columns"),
        "stop",
        "no column of the data contract is missing",
        "A renamed column means that the producer changed the format.",
    ),
    Rule(
        "column-types",
        "files",
        Empty("wrong_types"),
        "stop",
        "every column has the contract's type",
        "Float ids are what one missing value makes of whole numbers; above 2^24 they merge items.",
    ),
    Rule(
        "no-nulls",
        "files",
        none("nulls"),
        "stop",
        "no value is missing",
        "There is no id for 'unknown': a null would be read as some item.",
    ),
    Rule(
        "no-extra-columns",
        "files",
        Empty("extra_columns"),
        "warn",
        "no column beyond the data contract",
        "Nobody reads it, and tomorrow it may hold what was known only after the click.",
    ),
)
