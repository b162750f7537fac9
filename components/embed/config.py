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
    # Encoders. Weights are read from a local folder, an s3:// address or a name on the Hugging Face hub
    text_encoder: TextEncoderName = "minilm"  # turns titles into vectors; `none` leaves texts out
    text_weights: str = ""  # where its weights are; empty: where components/embed/registry.py says
    text_revision: str = ""  # hash that the weights must have, or its beginning; for a hub name, a commit
    text_columns: tuple[str, ...] = ("item_title",)  # columns of item_feature that are joined, in this order
    image_encoder: ImageEncoderName = "efficientnet-lite0"  # turns pictures into vectors; `none` leaves pictures out
    image_weights: str = ""  # as text_weights
    image_revision: str = ""  # as text_revision
    use_precomputed: bool = True  # use the columns txt_emb_BERT and img_emb_CLIPRN50 as they are, if the data has them
    existing: Existing = "auto"  # use item_info.parquet of the data? `auto` does if there is nothing to encode

    # Fusion
    dimension: int = 128  # numbers in an item's vector
    fusion: Fusion = "pca"  # how the text vector and the image vector become one
    standardise: Standardise = "modality"  # what gets equal variance before that: each feature or each modality
    projection: ProjectionPolicy = "fit"  # fit a new one, or keep the champion's, so that vectors stay comparable

    # Items that can't be read
    bad_input: BadInput = "impute"  # for an item that can't be read, use the mean vector, or fail at the first
    bad_input_limit: float = 0.01  # largest share of items that may get the mean vector
    pixel_limit: int = 50_000_000  # an image with more pixels is refused before it is decoded

    # Execution
    shards: int = 1  # pods on Kubeflow that encode at the same time, each a part of the items
    text_batch: int = 16  # texts encoded together; always as many, so that a vector depends on its text alone
    image_batch: int = 4  # images encoded together; 4 is fastest on two cores, a GPU needs about 256
    precision: Precision = "float32"  # of the encoders' arithmetic
    device: Device = "auto"  # `auto` takes a CUDA device if there is one
    threads: int = 0  # batches that the processor encodes at the same time, each on one core; 0: as many as cores
    decoders: int = 2  # threads that decode images before the encoder needs them
    flush_items: int = 4096  # vectors written to the cache at once; a killed run loses at most these

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
