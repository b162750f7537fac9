"""Where an encoder runs, and in which arithmetic."""

import os
from concurrent.futures import ThreadPoolExecutor
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
    workers: int  # batches under way at once

    def pool(self) -> ThreadPoolExecutor:
        """Runs forward passes. On a processor each runs on one core. A convolution that is split over several cores
        gives other last bits, and a vector must have the same bits on a laptop and in a pod with many cores.
        """
        start = _one_core if self.device.type == "cpu" else None
        return ThreadPoolExecutor(self.workers, thread_name_prefix="encode", initializer=start)

    @property
    def window(self) -> int:
        """The number of batches prepared before the encoder needs them."""
        return 2 * self.workers + 1

    def to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)


def runtime(config: EmbedConfig) -> Runtime:
    available = torch.cuda.is_available()
    name = ("cuda" if available else "cpu") if config.device == "auto" else config.device
    if name == "cuda" and not available:
        raise StepError("embed.device = 'cuda': this machine has no GPU that torch sees; set embed.device=cpu")
    workers = (config.threads or len(os.sched_getaffinity(0))) if name == "cpu" else 1
    return Runtime(torch.device(name), _DTYPES[config.precision], workers)


def _one_core() -> None:
    torch.set_num_threads(1)  # of the calling thread alone: OpenMP keeps the number by thread


def quiet_loading() -> None:
    """transformers draws its own bars and prints a report of unused heads; the step has its own progress."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
