"""Everything that decides the shape and the arithmetic of a ranker."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

from model.checks import at_least, between, one_of

ContentUse = Literal["concat", "init", "align", "distil", "codes", "similarity", "metric"]
ContentNorm = Literal["raw", "standardise", "l2", "rmsnorm"]
ContentMap = Literal["none", "linear", "gated-mlp"]
CodeKind = Literal["residual", "product"]
Interest = Literal["transformer", "din", "relu", "recency", "mean", "none"]
TargetAttention = Literal["none", "din", "relu"]
Position = Literal["none", "learned"]
Cross = Literal["full", "low-rank", "none"]
Mask = Literal["right", "inverted"]
Place = Literal["none", "history", "target", "both"]
CHOICES = {
    "content_norm": ContentNorm,
    "content_map": ContentMap,
    "code_kind": CodeKind,
    "item_levels": Place,
    "interest": Interest,
    "target_attention": TargetAttention,
    "position": Position,
    "mask": Mask,
    "cross": Cross,
}
SIZES = (
    *("embedding_dim", "content_dim", "history_length", "layers", "heads", "ffn_dim"),
    *("cross_layers", "cross_rank", "code_levels", "codebook_size", "metric_heads", "metric_dim"),
)


@dataclass(frozen=True)
class Feature:
    """One feature of an item, of a row, or of the events of its history, as codes, a number, or a vector."""

    name: str
    codes: int = 0  # rows of its embedding, row 0 for "nothing" included; 0: the feature is a number
    width: int = 1  # codes that one item or row has at most, whose embeddings are averaged; or numbers of a vector
    bins: int = 0  # of a number: pieces of its piecewise-linear encoding; 0: the number is used as it is
    place: Place | None = "both"  # of an item's feature: which items carry it; None: `model.item_levels` says so

    def __post_init__(self) -> None:
        if self.codes:
            at_least(f"codes of the feature {self.name!r}", self.codes, 2)
        at_least(f"width of the feature {self.name!r}", self.width, 1)
        at_least(f"bins of the feature {self.name!r}", self.bins, 0)


@dataclass(frozen=True)
class Vocabulary:
    """What a ranker is told of items and rows: how many items, how wide their content, which features they have."""

    items: int  # rows of the item table, the padding row 0 included
    content: int  # width of the frozen content; 0: the items have none
    item: tuple[Feature, ...] = ()
    row: tuple[Feature, ...] = ()
    event: tuple[Feature, ...] = ()  # of each click of the history, such as how long ago it was

    def __post_init__(self) -> None:
        at_least("vocabulary.items", self.items, 2)
        at_least("vocabulary.content", self.content, 0)


def _columns(features: Sequence[Feature]) -> dict[str, slice]:
    ends = accumulate(feature.width for feature in features)
    return {feature.name: slice(end - feature.width, end) for feature, end in zip(features, ends, strict=True)}


def code_columns(features: Sequence[Feature]) -> dict[str, slice]:
    """Where each feature with codes stands in a block of codes. Features stand in their order, without gaps."""
    return _columns([feature for feature in features if feature.codes])


def number_columns(features: Sequence[Feature]) -> dict[str, slice]:
    """Where each number or vector stands in a block of numbers."""
    return _columns([feature for feature in features if not feature.codes])


def numbers_width(features: Sequence[Feature]) -> int:
    return sum(feature.width for feature in features if not feature.codes)


@dataclass(frozen=True)
class ModelConfig:
    """One ranker. The defaults are the challenge's 1st-place solution at full size, with the padding mask corrected."""

    # Item encoder
    embedding_dim: int = 64  # width of the embeddings of ids and features
    embedding_std: float = 1e-4  # standard deviation of the first values of every embedding
    content: tuple[ContentUse, ...] = ("concat",)  # how the content vector is used; empty: not at all
    content_norm: ContentNorm = "raw"  # how the content is normalised before the map
    content_map: ContentMap = "linear"  # learned map from the normalised content to the item's vector
    content_dim: int = 128  # width after the map; without a map the content keeps its own width
    item_levels: Place = "none"  # which items carry the features that are declared without a place, such as levels
    row_features: bool = True  # whether the features of the row are used
    id_dropout: float = 0.0  # share of a batch's items that are without their id embedding, as new items are
    left_out: tuple[str, ...] = ()  # names of declared features that the ranker does not read

    # History
    history_length: int = 100  # the model reads this many newest items of a history
    interest: Interest = "transformer"  # how the history becomes one vector
    target_attention: TargetAttention = "none"  # a second summary of the history, weighted by the target
    target_concat: bool = True  # whether the transformer reads each history item joined with the target
    position: Position = "none"  # whether the transformer knows the position of an item in the history
    layers: int = 2  # of the transformer
    heads: int = 1  # attention heads of the transformer; for `recency`, the number of weighted sums
    ffn_dim: int = 256  # width inside a transformer layer
    transformer_dropout: float = 0.2  # share of values dropped in training
    last_k: int = 16  # outputs of the transformer that are kept as they are, those of the newest items
    max_pool: bool = True  # whether the maximum over all outputs is kept as well
    attention_widths: tuple[int, ...] = (512, 256)  # hidden layers of the network that weighs history items in DIN
    block_products: bool = False  # for `recency`: whether each sum's products with the target are features too
    mask: Mask = "right"  # `inverted` repeats an error of the published code, for comparison

    # Feature interactions and the score
    cross: Cross = "full"  # products of features (DCNv2), with full or low-rank matrices
    cross_layers: int = 3  # each layer raises the degree of the products by one
    cross_rank: int = 64  # rank of the low-rank matrices
    deep_widths: tuple[int, ...] = (1024, 512, 256)  # hidden layers of the deep network
    deep_dropout: float = 0.2  # share of values dropped in training
    head_widths: tuple[int, ...] = (64, 32)  # hidden layers between the cross and deep networks and the score

    # Settings of the uses of content other than `concat`
    init_std: float = 0.1  # standard deviation of id embeddings that start at the content (`init`)
    align_temperature: float = 0.1  # temperature of the contrastive loss (`align`)
    distil_id_temperature: float = 0.1  # temperature of the ids' similarities (`distil`); low: only the nearest count
    distil_content_temperature: float = 0.1  # temperature of the content's similarities (`distil`)
    code_kind: CodeKind = "residual"  # how the content is turned into codes (`codes`)
    code_levels: int = 3  # number of codes that an item has
    codebook_size: int = 256  # number of values that a code can take
    similarity_bins: int = 16  # bins of the similarity histogram (`similarity`)
    metric_heads: int = 4  # number of learned metrics (`metric`)
    metric_dim: int = 16  # numbers that each learned metric makes of the content (`metric`)

    def reads(self, feature: Feature) -> bool:
        return feature.name not in self.left_out

    def __post_init__(self) -> None:
        for use in self.content:
            one_of("model.content", use, get_args(ContentUse))
        if len(set(self.content)) != len(self.content):
            raise ValueError(f"model.content = {self.content!r}: names a use twice")
        if len(set(self.left_out)) != len(self.left_out):
            raise ValueError(f"model.left_out = {self.left_out!r}: names a feature twice")
        for field, choice in CHOICES.items():
            one_of(f"model.{field}", getattr(self, field), get_args(choice))
        for field in SIZES:
            at_least(f"model.{field}", getattr(self, field), 1)
        at_least("model.similarity_bins", self.similarity_bins, 2)
        for field in ("transformer_dropout", "deep_dropout", "id_dropout"):
            between(f"model.{field}", getattr(self, field), 0.0, 0.99)
        for field in ("embedding_std", "init_std"):
            at_least(f"model.{field}", getattr(self, field), 0.0)
        for field in ("align_temperature", "distil_id_temperature", "distil_content_temperature"):
            between(f"model.{field}", getattr(self, field), 1e-3, 100.0)
        between("model.last_k", self.last_k, 0, self.history_length)
        for field in ("attention_widths", "deep_widths", "head_widths"):
            for width in getattr(self, field):
                at_least(f"model.{field}", width, 1)
        if self.block_products and self.interest != "recency":
            raise ValueError(
                f"model.block_products = True with model.interest = {self.interest!r}: only 'recency' makes sums "
                "of the history, which it multiplies; set model.block_products to false as well"
            )
        if self.interest == "transformer" and self.last_k == 0 and not self.max_pool:
            raise ValueError("model.last_k = 0: with model.max_pool off the transformer would have no output")
