"""The row-wise optimizer against a loop over rows in numpy, and where the training uses it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from components.artifacts import Artifacts
from components.train import worker
from components.train.arithmetic import optimizers_for
from components.train.config import TrainConfig
from components.train.job import Job
from components.train.ranks import Ranks
from components.train.rowwise import Rowwise
from tests.tiny_training import TRAIN, recipe, written_job

ROWS, WIDTH, RATE = 6, 4, 0.01
ONE = Ranks(0, 1, torch.device("cpu"))
TABLES = {"item_encoder.id.weight", "item_encoder.features.0.weight"}


def table_and_gradients(steps: int = 5) -> tuple[np.ndarray, list[np.ndarray]]:
    """First weights, and a gradient a step, large or tiny; each row has some only in some steps, row 5 in none."""
    rng = np.random.default_rng(5)
    gradients = []
    for step in range(steps):
        gradient = rng.normal(size=(ROWS, WIDTH)) * 10.0 ** rng.integers(-6, 3, (ROWS, 1))
        gradient[(np.arange(ROWS) + step) % 3 == 0] = 0
        gradient[5] = 0
        gradients.append(gradient.astype(np.float32))
    return rng.normal(size=(ROWS, WIDTH)).astype(np.float32), gradients


def trained(weights: np.ndarray, gradients: list[np.ndarray], **settings: float) -> tuple[torch.nn.Parameter, Rowwise]:
    table = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    optimizer = Rowwise([table], lr=RATE, **settings)
    for gradient in gradients:
        table.grad = torch.from_numpy(gradient)
        optimizer.step()
    return table, optimizer


def reference(weights: np.ndarray, gradients: list[np.ndarray], weight_decay: float) -> tuple[np.ndarray, list[float]]:
    table, averages = weights.astype(np.float64), [0.0] * ROWS
    begun = [False] * ROWS
    for gradient in gradients:
        for row in range(ROWS):
            if not gradient[row].any():
                continue
            square = sum(float(value) ** 2 for value in gradient[row]) / WIDTH
            averages[row] = 0.999 * averages[row] + 0.001 * square if begun[row] else square
            begun[row] = True
            for column in range(WIDTH):
                table[row, column] *= 1 - RATE * weight_decay
                table[row, column] -= RATE * float(gradient[row, column]) / (averages[row] ** 0.5 + 1e-8)
    return table, averages


@pytest.mark.parametrize("weight_decay", [0.0, 3.0])
def test_it_does_what_a_loop_over_rows_does(weight_decay: float) -> None:
    weights, gradients = table_and_gradients()
    table, optimizer = trained(weights, gradients, weight_decay=weight_decay)
    expected, averages = reference(weights, gradients, weight_decay)
    np.testing.assert_allclose(table.detach(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(optimizer.state[table]["second_moment"], averages, rtol=1e-5)


def test_a_row_without_a_gradient_keeps_its_weights_and_its_average() -> None:
    weights, gradients = table_and_gradients()
    table, optimizer = trained(weights, gradients, weight_decay=0.1)
    before, average = table.detach().clone(), optimizer.state[table]["second_moment"].clone()
    assert torch.equal(before[5], torch.from_numpy(weights[5])), "never touched"
    assert average[5] == 0
    table.grad = torch.zeros(ROWS, WIDTH)
    table.grad[2] = torch.tensor([0.0, 0.0, -3.0, 0.0])
    optimizer.step()
    idle = [0, 1, 3, 4, 5]
    assert torch.equal(table.detach()[idle], before[idle])
    assert torch.equal(optimizer.state[table]["second_moment"][idle], average[idle])
    assert not torch.equal(table.detach()[2], before[2])
    assert optimizer.state[table]["second_moment"][2] != average[2]


def test_a_table_without_a_gradient_is_left_alone() -> None:
    table = torch.nn.Parameter(torch.ones(ROWS, WIDTH))
    optimizer = Rowwise([table], lr=RATE)
    optimizer.step()
    assert torch.equal(table, torch.ones(ROWS, WIDTH))
    assert not optimizer.state


@pytest.mark.parametrize("width", [4, 64])
def test_it_keeps_four_bytes_a_row(width: int) -> None:
    table = torch.nn.Parameter(torch.ones(1000, width))
    table.grad = torch.ones_like(table)
    optimizer = Rowwise([table], lr=RATE)
    optimizer.step()
    kept = [value for state in optimizer.state_dict()["state"].values() for value in state.values()]
    assert sum(value.nbytes for value in kept) == 4 * 1000


def test_it_is_for_ids_and_tags_and_adam_for_all_else(job: Job) -> None:
    ranker = worker.build(job, ONE)[0].ranker
    names = {id(parameter): name for name, parameter in ranker.named_parameters()}

    def parts(config: TrainConfig) -> list[tuple[type, list[str]]]:
        return [
            (
                type(optimizer),
                [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]],
            )
            for optimizer in optimizers_for(ranker, config)
        ]

    assert parts(TRAIN) == [(torch.optim.AdamW, list(names.values()))]
    (_, others), (kind, tables) = parts(recipe(id_optimizer="rowwise").train)
    assert (kind, set(tables)) == (Rowwise, TABLES)
    assert others == [name for name in names.values() if name not in TABLES]


def test_its_rate_falls_with_that_of_adam(inputs: Artifacts, tmp_path: Path) -> None:
    config = recipe(id_optimizer="rowwise", learning_rate=0.1)
    state, _ = worker.build(written_job(inputs, config, tmp_path / "work"), ONE)
    for auc in (0.7, 0.6):
        state.end_epoch({"auc": auc}, TRAIN)
    rates = [group["lr"] for optimizer in state.optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize("limit", [1e-3, 0.0])
def test_it_sees_clipped_gradients(inputs: Artifacts, tmp_path: Path, limit: float) -> None:
    job = written_job(inputs, recipe(id_optimizer="rowwise", gradient_clip=limit), tmp_path / "work")
    state, optimiser = worker.build(job, ONE)
    data = worker.data_of(job, ONE, job.rows()[0], state.ranker)
    optimiser.step(*next(data.batches(0, 0)))
    rowwise = state.optimizers[1]
    squares = [
        float(rowwise.state[table]["second_moment"].sum()) * table.shape[1]
        for table in rowwise.param_groups[0]["params"]
    ]
    assert (sum(squares) ** 0.5 <= 1e-3) is (limit == 1e-3)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train\.id_optimizer = 'sgd': must be one of 'adam', 'rowwise'"):
        TrainConfig(id_optimizer="sgd")  # type: ignore[arg-type]
