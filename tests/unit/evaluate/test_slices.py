from typing import Any

import numpy as np
import pytest

from components.evaluate.config import EvaluateConfig
from components.evaluate.slices import (
    content_slices,
    history_slices,
    measure_slice,
    novelty_slices,
    popularity_slices,
    tag_slices,
)
from components.statistics.auc import auc_influence


def test_history_buckets_hold_every_row_once() -> None:
    lengths = np.arange(101)
    slices = history_slices(lengths, EvaluateConfig().history_edges)
    np.testing.assert_array_equal(sum(s.mask.astype(int) for s in slices), np.ones(101))
    assert {s.name: (lengths[s.mask].min(), lengths[s.mask].max()) for s in slices} == {
        "no click yet": (0, 0),
        "1–4 clicks": (1, 4),
        "5–9 clicks": (5, 9),
        "10–19 clicks": (10, 19),
        "20–49 clicks": (20, 49),
        "50 or more clicks": (50, 100),
    }


@pytest.mark.parametrize(
    ("edges", "names"),
    [
        ((), ["0 or more clicks"]),
        ((3,), ["0–2 clicks", "3 or more clicks"]),
        ((1, 2), ["no click yet", "1 click", "2 or more clicks"]),
    ],
    ids=["one bucket", "short ones together", "single lengths"],
)
def test_history_buckets_by_other_edges(edges: Any, names: Any) -> None:
    assert [s.name for s in history_slices(np.arange(9), edges)] == names


def test_popularity_holds_every_level_once() -> None:
    levels = np.arange(11)
    slices = popularity_slices(levels)
    np.testing.assert_array_equal(sum(s.mask.astype(int) for s in slices), np.ones(11))
    assert [s.name for s in slices] == [
        "unknown",
        "least viewed (levels 1–2)",
        "levels 3–4",
        "levels 5–6",
        "levels 7–8",
        "most viewed (levels 9–10)",
    ]


def test_tags_that_most_rows_carry_and_padding_is_none() -> None:
    tags_NT = np.array([[0, 0], [0, 7], [0, 7], [3, 7], [0, 3], [0, 5]])
    slices = tag_slices(np.array([1, 2, 3, 3, 4, 99]), tags_NT, {7: "comedy"}, 2)
    assert [s.name for s in slices] == ["comedy", "tag 3"]
    np.testing.assert_array_equal(slices[0].mask, [True, True, True, True, False, False])
    np.testing.assert_array_equal(slices[1].mask, [False, False, True, True, True, False])
    assert tag_slices(np.array([0, 99]), tags_NT, {}, 2) == []
    assert tag_slices(np.zeros(0, np.int64), tags_NT, {}, 2) == []
    assert tag_slices(np.array([1, 2]), np.zeros((3, 0), np.int64), {}, 2) == []


def test_novelty_and_content_split_the_rows() -> None:
    old, new = novelty_slices("Item", np.array([1, 5, 2, 9]), np.array([1, 2, 3]), "old", "new")
    np.testing.assert_array_equal(old.mask, [True, False, True, False])
    np.testing.assert_array_equal(new.mask, ~old.mask)
    own, imputed = content_slices(np.array([1, 5, 2]), np.array([5]))
    np.testing.assert_array_equal(imputed.mask, [False, True, False])
    np.testing.assert_array_equal(own.mask, ~imputed.mask)


@pytest.fixture(scope="module")
def rows() -> Any:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 1000)
    return labels, np.arange(1000) // 4, labels + random.normal(size=1000), labels + 2 * random.normal(size=1000)


def test_a_slice_is_measured_on_its_own_rows(rows: Any) -> None:
    labels, users, candidate, champion = rows
    part = history_slices(np.arange(1000) % 10, (5,))[0]
    report = measure_slice(part, labels, users, candidate, champion, EvaluateConfig())
    expected = [auc_influence(labels[part.mask], score[part.mask])[0] for score in (candidate, champion)]
    assert report["measured"]
    assert report["rows"] == 500
    assert (report["candidate"]["value"], report["champion"]["value"]) == pytest.approx(tuple(expected))
    assert report["difference"]["value"] == pytest.approx(expected[0] - expected[1])
    assert report["difference"]["low"] < report["difference"]["value"] < report["difference"]["high"]


@pytest.mark.parametrize(
    ("length", "label"), [(199, None), (300, 0), (300, 1)], ids=["few rows", "no clicks", "clicks alone"]
)
def test_a_small_slice_is_named_but_not_measured(rows: Any, length: Any, label: Any) -> None:
    labels, users, candidate, champion = rows
    chosen = labels if label is None else np.full(1000, label)
    part = novelty_slices("Item", np.arange(1000), np.arange(length), "old", "new")[0]
    report = measure_slice(part, chosen, users, candidate, champion, EvaluateConfig())
    assert not report["measured"]
    assert report["rows"] == length
    assert report["candidate"] is report["difference"] is None
