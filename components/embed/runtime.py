"""Where an encoder runs, and in which arithmetic."""

from dataclasses import dataclass

import torch
from torch import Tensor

from components.embed.config import EmbedConfig
from components.errors import StepError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    device: torch.device
    dtype: torch.dtype

    def to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)


def runtime(config: EmbedConfig) -> Runtime:
    available = torch.cuda.is_available()
    name = ("cuda" if available else "cpu") if config.device == "auto" else config.device
    if name == "cuda" and not available:
        raise StepError("embed.device = 'cuda': this machine has no GPU that torch sees; set embed.device=cpu")
    if name == "cpu" and config.threads:
        torch.set_num_threads(config.threads)
    return Runtime(torch.device(name), _DTYPES[config.precision])


def quiet_loading() -> None:
    """transformers draws its own bars and prints a report of unused heads; the step has its own progress."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
