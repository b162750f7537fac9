"""How a device computes: precision, TF32, and the optimizers."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from components.train.config import TrainConfig
from components.train.rowwise import Rowwise
from model.ranker import Ranker


def set_up(device: torch.device) -> None:
    """TF32 for float32 products on CUDA: 10 bits of mantissa, 8 times the speed. A CPU keeps full float32."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        torch.backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined]


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 products over float32 weights. CPUs with AVX512-BF16 or AMX gain as GPUs do."""
    if config.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def optimizers_for(ranker: Ranker, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Adam for all weights, or for all but the tables of ids and of the items' lists, such as tags."""
    if config.id_optimizer == "adam":
        return [adam(ranker.parameters(), config)]
    tables = [ranker.item_encoder.id.weight, *ranker.item_encoder.features.lists()]
    others = [parameter for parameter in ranker.parameters() if all(parameter is not table for table in tables)]
    return [adam(others, config), Rowwise(tables, config.learning_rate, config.weight_decay)]


def adam(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """Fused AdamW, which without weight decay is the paper's Adam."""
    return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def clip_gradients(parameters: list[nn.Parameter], limit: float) -> None:
    """Scales the gradients to a total norm of `limit` at most. 0 switches it off."""
    if not limit:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm: Tensor = torch.nn.utils.get_total_norm(gradients)
    factor = limit / (norm + 1e-6)
    # Reading a number stalls a GPU; on a CPU it is free, and multiplying by one would be a pass over all weights.
    if gradients and (norm.device.type != "cpu" or factor < 1):
        torch._foreach_mul_(gradients, factor.clamp(max=1.0))
