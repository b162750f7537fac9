"""The features that a data set's features.yaml declares."""

from components.validate.suite.rule import Between, Empty, Rule

FEATURES = (
    Rule(
        "features-usable",
        "features",
        Empty("problem"),
        "stop",
        "every declared feature can be learned from train, and all its values are of its kind",
        "A constant or empty column says nothing, and a value of another kind has no meaning for the model.",
    ),
    Rule(
        "features-filled",
        "features",
        Between("missing", high="max_missing"),
        "warn",
        "most rows or items have a value of each feature",
        "A lost join leaves a column nearly empty, and the model learns only that it is missing.",
    ),
    Rule(
        "features-filled-alike",
        "features",
        Between("missing_gap", high="max_missing_gap"),
        "warn",
        "a feature is missing about as often in valid and test as in train",
        "The model meets other rows than those that it learned from when a source has stopped, or has just begun.",
    ),
    Rule(
        "features-known",
        "features",
        Between("unknown", high="max_unknown"),
        "warn",
        "most values of valid and test are in the vocabulary that train gives",
        "All values outside it share a code, so the model cannot tell them apart.",
    ),
)
