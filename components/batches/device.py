"""Where a ranker computes."""

import torch

from components.errors import StepError


def pick_device(device: str, local_rank: int = 0) -> torch.device:
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise StepError("train.device = 'cuda': this machine has no CUDA device; use 'auto' or 'cpu'")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
