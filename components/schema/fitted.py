"""The fitted features of a data set as a file, and what the network must know of them."""

from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import StepError
from components.schema.challenge import CHALLENGE
from components.schema.encoder import Codes, Column, Encoder, FittedFeature, Numbers
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


def is_vectors(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and pa.types.is_floating(kind.value_type))


def _vectors(column: pa.ChunkedArray) -> Column:
    parts: list[Any] = []
    for chunk in column.chunks:
        flat = chunk.flatten().to_numpy(zero_copy_only=False)
        lengths = pc.fill_null(pc.list_value_length(chunk), 0).to_numpy(zero_copy_only=False)
        if not chunk.null_count and len(np.unique(lengths)) == 1 and lengths[0]:
            parts.extend(flat.reshape(len(chunk), -1))
        else:
            several = np.split(flat, np.cumsum(lengths)[:-1])
            valid = chunk.is_valid().to_numpy(zero_copy_only=False)
            parts.extend(vector if there else None for vector, there in zip(several, valid, strict=True))
    widths = {-1 if part is None else len(part) for part in parts}
    return np.stack(parts) if len(widths) == 1 and min(widths) > 0 else parts


def encode_column(feature: FittedFeature, column: pa.ChunkedArray) -> Codes | Numbers:
    """`feature.encode` of a column of a table, in which each distinct text is looked up once."""
    if feature.kind != "category" or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return feature.encode(raw_column(column))
    found = column.combine_chunks().dictionary_encode()
    codes = feature.encode([*found.dictionary.to_pylist(), None])
    place = found.indices.fill_null(len(found.dictionary)).to_numpy(zero_copy_only=False)
    return np.asarray(codes[place])


def raw_column(column: pa.ChunkedArray) -> Column:
    """A column of a table as the encoder takes it: an array of numbers or vectors if none is missing, else a list."""
    if is_vectors(column.type):
        return _vectors(column)
    if pa.types.is_floating(column.type) or (pa.types.is_integer(column.type) and not column.null_count):
        return np.asarray(column.to_numpy())
    return list(column.to_pylist())
