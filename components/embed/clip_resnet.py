"""The vision tower of CLIP's ResNets (RN50 and its kin), read from the state dict that OpenAI and open_clip publish.

It differs from an ordinary ResNet by three stem convolutions, average pooling before each strided step, and attention
pooling at the end. Every width is read from the weights. In the shapes, C also counts channels, and L the places of the
last map.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu, scaled_dot_product_attention

HEAD_WIDTH = 64  # channels of one head of the attention pool, in every published size
EXPANSION = 4


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = planes * EXPANSION
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            # The published names count the pooling (-1) without weights, then 0 and 1.
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = relu(self.bn1(self.conv1(x)))
        x = relu(self.bn2(self.conv2(x)))
        if self.stride > 1:
            x, shortcut = avg_pool2d(x, self.stride), avg_pool2d(shortcut, self.stride)
        if self.downsample is not None:
            shortcut = self.downsample(shortcut)
        return relu(self.bn3(self.conv3(x)) + shortcut)


class AttentionPool(nn.Module):
    """Attention pooling: the query is the mean of the map, and the keys are the places of the map and the
    mean itself.
    """

    def __init__(self, places: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.heads = channels // HEAD_WIDTH
        self.positional_embedding = nn.Parameter(torch.zeros(places + 1, channels))
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, outputs)

    def forward(self, map_BCHW: Tensor) -> Tensor:
        x_BLC = map_BCHW.flatten(2).transpose(1, 2)
        x_BLC = torch.cat([x_BLC.mean(1, keepdim=True), x_BLC], dim=1) + self.positional_embedding
        query, key, value = (
            part.unflatten(-1, (self.heads, HEAD_WIDTH)).transpose(1, 2)
            for part in (self.q_proj(x_BLC[:, :1]), self.k_proj(x_BLC), self.v_proj(x_BLC))
        )
        pooled = scaled_dot_product_attention(query, key, value)
        pooled_BC: Tensor = self.c_proj(pooled.transpose(1, 2).flatten(1))
        return pooled_BC


class ClipResNet(nn.Module):
    def __init__(self, width: int, layers: tuple[int, int, int, int], outputs: int, image_size: int) -> None:
        super().__init__()
        self.image_size, self.outputs = image_size, outputs
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        inputs = width
        for stage, blocks in enumerate(layers):
            planes = width * 2**stage
            made = []
            for block in range(blocks):
                made.append(Bottleneck(inputs, planes, stride=2 if stage and block == 0 else 1))
                inputs = planes * EXPANSION
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
        self.attnpool = AttentionPool((image_size // 32) ** 2, inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = relu(norm(conv(x)))
        x = avg_pool2d(x, 2)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        pooled: Tensor = self.attnpool(x)
        return pooled


def clip_resnet(state: Mapping[str, Tensor]) -> ClipResNet:
    """Builds the tower that fits a published state dict, with or without its `visual.` prefix, and loads it."""
    prefix = "visual." if any(name.startswith("visual.") for name in state) else ""
    tower = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if "attnpool.c_proj.weight" not in tower or "conv3.weight" not in tower:
        raise ValueError(
            "the weights are no CLIP ResNet: visual.conv3.weight or visual.attnpool.c_proj.weight is missing"
        )
    layers = tuple(_blocks(tower, stage) for stage in range(1, 5))
    places = tower["attnpool.positional_embedding"].shape[0] - 1
    network = ClipResNet(
        width=tower["conv3.weight"].shape[0],
        layers=(layers[0], layers[1], layers[2], layers[3]),
        outputs=tower["attnpool.c_proj.weight"].shape[0],
        image_size=math.isqrt(places) * 32,
    )
    own = set(network.state_dict())
    missing = sorted(own - set(tower))
    if any(not name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"the weights of this CLIP ResNet lack {missing[0]}")
    network.load_state_dict({name: value.float() for name, value in tower.items() if name in own}, strict=False)
    return network


def _blocks(tower: Mapping[str, Tensor], stage: int) -> int:
    return len({name.split(".")[1] for name in tower if name.startswith(f"layer{stage}.")})
