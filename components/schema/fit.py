"""Learns from train what the declared features need: vocabularies, edges of numbers, means.

Only train is read, so that what valid and test say of a model is true. A feature that cannot be fitted raises StepError
with the reason. A vocabulary grows from night to night: the values that the champion knows keep their codes, also where
train no longer has them, and new values get new codes at the end, so that trained embeddings keep their meaning.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from components.errors import StepError
from components.schema.declared import Declared
from components.schema.encoder import Column, FeatureError, FittedFeature, is_missing, plain

WIDEST = 4096  # numbers of a given vector
Chunks = Iterable[Column]  # train's values, in parts


def fit_feature(feature: Declared, chunks: Chunks, before: FittedFeature | None = None) -> FittedFeature:
    """`before` is the champion's. Raises FeatureError for a value that is none of this kind, and StepError where there
    is nothing to learn.
    """
    empty = FittedFeature(
        feature.name,
        feature.kind,
        feature.place,
        feature.of,
        levels=feature.levels,
        buckets=feature.buckets,
        width=feature.max_values if feature.kind == "categories" else 1,
        encoding=feature.encoding if feature.kind == "number" else "",
    )
    if feature.levels:
        return empty
    if feature.kind == "number":
        return _number(feature, empty, chunks)
    if feature.kind == "vector":
        return _vector(empty, chunks)
    same_codes = before is not None and not before.levels and before.buckets == empty.buckets
    return _vocabulary(feature, empty, chunks, before.values if before is not None and same_codes else ())


def _vocabulary(feature: Declared, empty: FittedFeature, chunks: Chunks, known: tuple[str, ...]) -> FittedFeature:
    counts: Counter[str] = Counter()
    for chunk in chunks:
        counts.update(empty.keys(chunk))
    missing = counts.pop("", 0)
    if not counts:
        raise _no_value()
    frequent = [key for key, count in counts.items() if count >= feature.min_count]
    if not frequent:
        raise StepError(
            f"no value comes {feature.min_count} times in train ({len(counts):,} distinct values): lower min_count, or "
            "leave the feature out"
        )
    if len(counts) == 1 and not missing:
        raise _constant(frequent[0])
    new = set(frequent).difference(known)
    return replace(empty, values=(*known, *sorted(new, key=lambda key: (-counts[key], key))))


def _number(feature: Declared, empty: FittedFeature, chunks: Chunks) -> FittedFeature:
    values = np.concatenate([np.zeros(0), *(empty.as_numbers(chunk) for chunk in chunks)])
    missing = np.isnan(values)
    values = values[~missing]
    if not len(values):
        raise _no_value()
    if values.min() == values.max() and not missing.any():
        raise _constant(float(values[0]))
    if feature.encoding == "standardised":
        return replace(empty, mean=float(values.mean()), deviation=float(values.std()) or 1.0)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, feature.bins + 1)))
    if feature.encoding == "buckets":
        edges = edges[1:-1]
    elif len(edges) == 1:
        edges = np.array([edges[0], edges[0] + 1.0])
    return replace(empty, edges=tuple(edges.tolist()))


def _vector(empty: FittedFeature, chunks: Chunks) -> FittedFeature:
    """The first vector says how wide all are. They are centred, and get a mean square of 1 in each number."""
    count, total, squares = 0, np.zeros(0), np.zeros(0)
    for chunk in chunks:
        if not count:
            first = next((value for value in chunk if not is_missing(value)), None)
            if first is None:
                continue
            if not isinstance(first, list | np.ndarray) or not 1 <= len(first) <= WIDEST:
                raise FeatureError(empty.name, 0, plain(first), f"a list of 1 to {WIDEST} numbers, or missing")
            empty = replace(empty, width=len(first), centre=(0.0,) * len(first))
            total, squares = np.zeros(empty.width), np.zeros(empty.width)
        vectors = empty.as_vectors(chunk)
        vectors = vectors[~np.isnan(vectors).any(axis=1)]
        count, total, squares = count + len(vectors), total + vectors.sum(0), squares + np.square(vectors).sum(0)
    if not count:
        raise _no_value()
    centre = total / count
    variance = float((squares / count - np.square(centre)).mean())
    if variance <= 1e-12 * max(float((squares / count).mean()), 1e-300):
        raise _constant("one vector")
    return replace(empty, centre=tuple(centre.tolist()), deviation=variance**0.5)


def _no_value() -> StepError:
    return StepError("its column has no value in train: leave the feature out, or mend the data")


def _constant(value: object) -> StepError:
    return StepError(
        f"its column holds {value!r} and nothing else in train, and a constant says nothing: leave the feature out, or "
        "mend the data"
    )
