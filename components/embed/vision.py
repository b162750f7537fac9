"""Image encoders: pixels in, one vector an image out, in fixed batch shapes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from components.embed.clip_resnet import clip_resnet
from components.embed.registry import EncoderSpec, ImagePreprocessing
from components.embed.runtime import Runtime, quiet_loading
from components.errors import StepError


class ImageEncoder:
    def __init__(self, folder: Path, spec: EncoderSpec, where: Runtime, batch: int) -> None:
        if not isinstance(spec.preprocessing, ImagePreprocessing):
            raise TypeError(f"{spec.name} is no image encoder")
        self.where, self.batch = where, batch
        network, size = _LOADERS[spec.family](folder)
        self.network = network.to(where.device, where.dtype).eval()
        for parameter in self.network.parameters():
            if parameter.dim() == 4:  # convolutions run on channels-last pixels, twice as fast on CPU
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.size = size or spec.preprocessing.size
        self.mean = torch.tensor(spec.preprocessing.mean, device=where.device)
        self.std = torch.tensor(spec.preprocessing.std, device=where.device)
        self.dimension = int(self.forward([np.zeros((self.size, self.size, 3), np.uint8)]).shape[1])

    def forward(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Encodes up to `batch` pictures (HWC, 0..255) in exactly that batch shape: a short batch is filled up."""
        pixels_BHWC = np.zeros((self.batch, self.size, self.size, 3), np.uint8)
        for row, picture in enumerate(pictures):
            pixels_BHWC[row] = picture
        return self.embed(self.prepare(pixels_BHWC))[: len(pictures)].float().cpu().numpy()

    def prepare(self, pixels_BHWC: np.ndarray) -> Tensor:
        # Bytes travel to the device, a quarter of the floats; a permuted BHWC tensor is channels-last already.
        pixels = self.where.to_device(torch.from_numpy(pixels_BHWC)).float().div_(255.0)
        return pixels.sub_(self.mean).div_(self.std).permute(0, 3, 1, 2).to(self.where.dtype)

    @torch.inference_mode()
    def embed(self, pixels_BCHW: Tensor) -> Tensor:
        vectors: Tensor = self.network(pixels_BCHW)
        return vectors


class PooledFeatures(nn.Module):
    """EfficientNet without its classifier: the mean of its last map."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        features: Tensor = self.network.extract_features(pixels_BCHW)  # type: ignore[operator]
        return features.mean((2, 3))


class ClipImageVector(nn.Module):
    """CLIP's ViT with its projection into the space shared with texts."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        vectors: Tensor = self.network(pixel_values=pixels_BCHW).image_embeds
        return vectors


def _efficientnet(folder: Path) -> tuple[nn.Module, int]:
    from efficientnet_lite_pytorch import EfficientNet
    from safetensors.torch import load_file

    network = EfficientNet.from_name("efficientnet-lite0")
    safe, packaged = sorted(folder.glob("*.safetensors")), sorted(folder.glob("*.pth"))
    state = load_file(safe[0]) if safe else torch.load(packaged[0], map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    return PooledFeatures(network), 224


def _clip_vit(folder: Path) -> tuple[nn.Module, int]:
    from transformers import CLIPVisionModelWithProjection

    quiet_loading()
    try:
        network = CLIPVisionModelWithProjection.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise StepError(f"{folder} is not a CLIP with safetensors: {error}") from error
    return ClipImageVector(network), int(str(network.config.image_size))


def _clip_resnet(folder: Path) -> tuple[nn.Module, int]:
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        state.update(load_file(path))
    try:
        network = clip_resnet(state)
    except ValueError as error:
        raise StepError(f"{folder}: {error}") from error
    return network, network.image_size


_LOADERS = {"efficientnet-lite0": _efficientnet, "clip-vit": _clip_vit, "clip-resnet": _clip_resnet}
