"""The fitted features of a data set as a file, and what the network must know of them."""

from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.errors import StepError
from components.schema.challenge import CHALLENGE
from components.schema.encoder import Column, Encoder, FittedFeature
from model.config import Feature, Vocabulary

FEATURES = "features.json"


def read_features(folder: Path) -> Encoder:
    """What validation fitted, from its folder or from a model package. Earlier versions knew the challenge alone."""
    path = folder / FEATURES
    if not path.is_file():
        return CHALLENGE
    try:
        return Encoder.read(path)
    except (ValueError, TypeError, KeyError) as error:
        raise StepError(f"{path} can't be read ({error}): run the pipeline again") from None


def model_features(features: tuple[FittedFeature, ...]) -> tuple[Feature, ...]:
    return tuple(
        Feature(feature.name, feature.codes, feature.width, feature.bins, feature.place)  # type: ignore[arg-type]
        for feature in features
    )


def check_fit(encoder: Encoder, vocabulary: Vocabulary) -> None:
    """Raises ValueError where a ranker was trained on other features than these."""
    for of in ("row", "event"):
        for fitted, trained in zip_longest(model_features(getattr(encoder, of)), getattr(vocabulary, of)):
            if fitted != trained:
                raise ValueError(
                    f"its weights were trained with the {of} feature {trained}, its {FEATURES} says {fitted}"
                )


def raw_column(column: pa.ChunkedArray) -> Column:
    """A column of a table as the encoder takes it: numbers as an array where none is missing, else as a list."""
    if pa.types.is_floating(column.type) or (pa.types.is_integer(column.type) and not column.null_count):
        return np.asarray(column.to_numpy())
    return list(column.to_pylist())
