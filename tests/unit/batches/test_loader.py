import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from components.batches.grouping import GroupCosts
from components.batches.item_table import table_from, vocabulary_of
from components.batches.loader import Batch, Collator
from components.batches.scoring import score, score_batch
from components.train.epochs import epoch_batches, in_background
from components.train.job import Job
from components.train.sampler import Sampler
from model.config import ModelConfig
from model.ranker import Ranker
from tests.tiny_training import ITEMS, MODEL

# Groups cost nothing: one for each length.
EAGER = GroupCosts(np.arange(13.0), 0.0)


def ids_of(batch: Batch, length: int) -> np.ndarray:
    """The batch's histories as item ids, padded to one width."""
    return np.concatenate(
        [np.pad(batch.distinct_U[h].numpy(), ((0, 0), (length - h.shape[1], 0))) for h in batch.histories]
    )


def test_a_batch_holds_its_rows(job: Job) -> None:
    store, _ = job.rows()
    rows = np.random.default_rng(0).permutation(len(store))[:100]
    batch = Collator(store, history_length=12, items=ITEMS, costs=EAGER)(rows)
    assert len(batch.histories) > 2
    assert set(batch.rows_B) == set(rows)
    np.testing.assert_array_equal(ids_of(batch, 12), store.history(12, batch.rows_B))
    np.testing.assert_array_equal(batch.distinct_U[batch.item_B], store.item[batch.rows_B])
    np.testing.assert_array_equal(batch.label_B, store.label[batch.rows_B])
    np.testing.assert_array_equal(batch.codes_BX, store.codes[batch.rows_B])


@pytest.mark.parametrize("rows", [2, 8], ids=["few-are-sorted", "many-are-looked-up"])
def test_distinct_items_are_ascending_from_the_padding(job: Job, rows: int) -> None:
    store, _ = job.rows()
    batch = Collator(store, history_length=3, items=ITEMS)(np.arange(rows))
    wanted = np.unique(np.concatenate([[0], store.item[:rows], store.history(3)[:rows].ravel()]))
    np.testing.assert_array_equal(batch.distinct_U, wanted)


def test_histories_keep_their_newest_items(job: Job) -> None:
    store, _ = job.rows()
    batch = Collator(store, history_length=4, items=ITEMS)(np.arange(50))
    assert max(h.shape[1] for h in batch.histories) == 4
    np.testing.assert_array_equal(ids_of(batch, 4), store.history(4, batch.rows_B))


@pytest.mark.parametrize("length", [254, 255, 256, 300, 1000])
def test_a_model_may_read_more_than_a_row_can_hold(job: Job, length: int) -> None:
    """A row's length is kept in one byte, which a longer `history_length` must not overflow."""
    store, _ = job.rows()
    long, short = (Collator(store, history_length, ITEMS, None)(np.arange(50)) for history_length in (length, 12))
    np.testing.assert_array_equal(ids_of(long, 12), ids_of(short, 12))
    ranker = Ranker(replace(MODEL, history_length=length), vocabulary_of(job.items()), table_from(job.items()))
    assert np.isfinite(score(ranker, store, which=np.arange(50))).all()


@pytest.mark.parametrize("longest", [1, 12], ids=["one-short-group", "many-groups"])
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(MODEL, id="transformer"),
        pytest.param(ModelConfig(**{**vars(MODEL), "interest": "relu"}), id="relu"),
        pytest.param(ModelConfig(**{**vars(MODEL), "interest": "din"}), id="din"),
        pytest.param(ModelConfig(**{**vars(MODEL), "cross": "low-rank"}), id="low-rank"),
        pytest.param(ModelConfig(**{**vars(MODEL), "cross": "none"}), id="no-cross"),
        pytest.param(ModelConfig(**{**vars(MODEL), "last_k": 12, "row_features": False}), id="all-kept"),
        pytest.param(ModelConfig(**{**vars(MODEL), "content": ("concat", "similarity")}), id="similarity"),
        pytest.param(ModelConfig(**{**vars(MODEL), "target_attention": "relu"}), id="beside"),
        pytest.param(ModelConfig(**{**vars(MODEL), "interest": "recency", "block_products": True}), id="recency"),
        pytest.param(ModelConfig(**{**vars(MODEL), "content": ("similarity", "metric")}), id="metric"),
        pytest.param(ModelConfig(**{**vars(MODEL), "interest": "mean", "last_k": 0}), id="mean"),
    ],
)
def test_scores_and_gradients_are_those_of_the_padded_batch(job: Job, model: ModelConfig, longest: int) -> None:
    torch.manual_seed(0)
    arrays = job.items()
    ranker = Ranker(model, vocabulary_of(arrays), table_from(arrays)).double().eval()
    store, _ = job.rows()
    batch = Collator(store, 12, ITEMS, EAGER)(np.flatnonzero(store.lengths <= longest)[:200])
    assert (len(batch.histories) == 1) is (longest == 1)

    grouped = score_batch(ranker, batch)
    torch.autograd.backward(grouped.square().sum())
    gradients = [parameter.grad for parameter in ranker.parameters()]
    ranker.zero_grad(set_to_none=True)
    rows = batch.rows_B
    padded = ranker(
        torch.from_numpy(store.history(12, rows).astype(np.int64)),
        *(torch.from_numpy(column[rows].astype(np.int64)) for column in (store.item, store.codes)),
        torch.from_numpy(store.numbers[rows]),
    )
    torch.autograd.backward(padded.square().sum())

    torch.testing.assert_close(grouped, padded, rtol=1e-9, atol=1e-9)
    for parameter, gradient in zip(ranker.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-9)


def test_an_epoch_can_start_at_any_step(job: Job) -> None:
    store, _ = job.rows()
    sampler, collate = Sampler(len(store), 64, seed=3), Collator(store, 12, ITEMS)
    whole = {step: batches[0].rows_B for step, batches in epoch_batches(sampler, collate, 1, 0)}
    rest = {step: batches[0].rows_B for step, batches in epoch_batches(sampler, collate, 1, 4)}
    assert list(rest) == list(whole)[4:]
    for step, rows in rest.items():
        np.testing.assert_array_equal(rows, whole[step])


def test_work_in_the_background_keeps_order_and_errors() -> None:
    def source() -> Iterator[int]:
        yield from range(10)
        raise ValueError("the source broke")

    reader = in_background(source())
    seen = [next(reader) for _ in range(10)]
    with pytest.raises(ValueError, match="the source broke"):
        next(reader)
    assert seen == list(range(10))


def test_a_reader_that_leaves_ends_the_background_thread() -> None:
    reader = in_background(iter(range(1000)))
    assert next(reader) == 0
    reader.close()  # type: ignore[attr-defined]
    assert all(thread.name != "loader" for thread in threading.enumerate())
