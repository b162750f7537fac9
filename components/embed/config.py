"""Which encoders see an item, how their vectors become one, and what to do about an item that cannot be read."""

from dataclasses import dataclass
from typing import Literal, get_args

from model.checks import at_least, between, one_of

TextEncoderName = Literal["minilm", "bert", "none"]
ImageEncoderName = Literal["efficientnet-lite0", "clip-vit", "clip-rn50", "none"]
Fusion = Literal["pca", "separate-pca", "none"]
Standardise = Literal["feature", "modality", "none"]
ProjectionPolicy = Literal["fit", "reuse-champion"]
BadInput = Literal["impute", "fail"]
Existing = Literal["auto", "use", "ignore"]
Precision = Literal["float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class EmbedConfig:
    # Encoders: names of components/embed/registry.py. Weights: a local folder, s3://…, or a hub name.
    text_encoder: TextEncoderName = "minilm"
    text_weights: str = ""  # empty: where the registry says
    text_revision: str = ""  # the hash (a prefix will do) that the weights must have; a commit for a hub name
    text_columns: tuple[str, ...] = ("item_title",)  # joined in this order
    image_encoder: ImageEncoderName = "efficientnet-lite0"  # none leaves pictures out
    image_weights: str = ""  # empty: where the registry says
    image_revision: str = ""  # as text_revision
    use_precomputed: bool = True  # take txt_emb_BERT and img_emb_CLIPRN50 as they are, where the data has them
    existing: Existing = "auto"  # an item_info in the data: auto takes it where there is nothing to encode

    # Fusion
    dimension: int = 128  # numbers of an item's vector
    fusion: Fusion = "pca"  # how text and image become one vector
    standardise: Standardise = "modality"  # what is brought to equal variance first
    projection: ProjectionPolicy = "fit"  # fit one, or keep the champion's, so that vectors stay comparable

    # Bad input: `impute` stands the modality's mean in, up to a share of items; `fail` stops at the first
    bad_input: BadInput = "impute"  # what happens to an item that cannot be read
    bad_input_limit: float = 0.01  # share of items
    pixel_limit: int = 50_000_000  # an image with more is refused before it is decoded

    # Execution
    shards: int = 1  # pods that encode side by side on Kubeflow
    text_batch: int = 16  # fixed batch shapes keep an item's vector independent of its batch mates
    image_batch: int = 4  # on two cores 4 is fastest; a GPU wants 256
    precision: Precision = "float32"  # of the encoders
    device: Device = "auto"  # auto takes CUDA where there is one
    threads: int = 0  # batches encoded side by side on CPU, each on one core; 0 takes every core
    decoders: int = 2  # threads that decode images ahead of the encoder
    flush_items: int = 4096  # vectors written to the cache at once: what a kill can cost

    def __post_init__(self) -> None:
        for field, allowed in _CHOICES.items():
            one_of(f"embed.{field}", getattr(self, field), get_args(allowed))
        if self.text_encoder == "none" and self.image_encoder == "none" and not self.use_precomputed:
            raise ValueError("embed.text_encoder = 'none': with embed.image_encoder = 'none' nothing sees an item")
        if not self.text_columns:
            raise ValueError("embed.text_columns = (): must name at least one column of item_feature")
        for field in ("dimension", "pixel_limit", "shards", "text_batch", "image_batch", "decoders", "flush_items"):
            at_least(f"embed.{field}", getattr(self, field), 1)
        at_least("embed.threads", self.threads, 0)
        between("embed.bad_input_limit", self.bad_input_limit, 0.0, 1.0)


_CHOICES = {
    "text_encoder": TextEncoderName,
    "image_encoder": ImageEncoderName,
    "fusion": Fusion,
    "standardise": Standardise,
    "projection": ProjectionPolicy,
    "bad_input": BadInput,
    "existing": Existing,
    "precision": Precision,
    "device": Device,
}
