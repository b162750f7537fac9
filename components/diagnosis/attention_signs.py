"""Whether attention does what it is for: it tells the items of a history apart, and reads nothing else.

Weights that depend on age alone, as in `recency` and `mean`, are as even as they are meant to be. Of those, only the
weight on padding is judged.
"""

from typing import Any

from components.diagnosis.finding import Finding, not_measured

Json = dict[str, Any]

ITEMS = 4  # a history with fewer hardly lets attention differ from an even one
EVEN = 0.95  # share of the largest possible entropy
ONE_POSITION = 0.9  # share of a history's attention
JUDGED = ("transformer", "din", "relu")
MAY_CONCENTRATE = ("relu",)  # it is meant to pick few items and to give all others nothing
NO_ATTENTION = "this ranker has no attention over the history"
NONE_TO_SPREAD = "this ranker has no attention that should spread over the history"


def attention_findings(figures: Json | None) -> list[Finding]:
    return [_even(figures), _collapsed(figures), _padding(figures)]


def _even(figures: Json | None) -> Finding:
    name, title = "attention_even", "Attention is nearly even"
    heads = _heads(figures, "entropy_share")
    if not heads:
        return not_measured(name, title, EVEN, NO_ATTENTION if figures is not None else _too_few())
    where, most = max(heads, key=lambda head: head[1])
    also = _also(sum(share > EVEN for _, share in heads))
    return Finding(
        name,
        title,
        most > EVEN,
        most,
        EVEN,
        f"The most even attention is that of {where}: its entropy over the real items is {most:.1%} of the largest "
        f"possible, which even attention has{also}. Above {EVEN:.0%} it hardly tells items apart.",
        "Such a layer adds parameters and time, and computes little more than a mean of the history. Train longer or "
        "with a higher train.learning_rate, normalise the content (model.content_norm), start embeddings larger "
        "(model.embedding_std), or take fewer layers or a ranker without attention (the preset best).",
    )


def _collapsed(figures: Json | None) -> Finding:
    name, title = "attention_collapsed", "Attention reads one position only"
    heads = _heads(figures, "one_position", spared=MAY_CONCENTRATE)
    if not heads:
        return not_measured(name, title, ONE_POSITION, NONE_TO_SPREAD if figures is not None else _too_few())
    where, most = max(heads, key=lambda head: head[1])
    also = _also(sum(share > ONE_POSITION for _, share in heads))
    return Finding(
        name,
        title,
        most > ONE_POSITION,
        most,
        ONE_POSITION,
        f"The most concentrated attention is that of {where}: on average one position of a history gets {most:.1%} of "
        f"it{also}. Above {ONE_POSITION:.0%} the rest of the history is not read.",
        "Start embeddings smaller (model.embedding_std), normalise the content (model.content_norm), or train with a "
        "lower train.learning_rate: attention collapses where vectors are so long that softmax chooses a single item.",
    )


def _padding(figures: Json | None) -> Finding:
    name, title = "attention_on_padding", "Padding is attended to"
    if figures is None:
        return not_measured(name, title, 0.0, _too_few())
    heads = [
        (_called(layer, number), head["largest_on_padding"] or 0.0)
        for layer in figures["layers"]
        for number, head in enumerate(layer["heads"])
    ]
    where, most = max(heads, key=lambda head: head[1])
    return Finding(
        name,
        title,
        most > 0,
        most,
        0.0,
        f"The largest weight on a padded position is {most:.4f}, in {where}; padding must get exactly 0."
        if most > 0
        else f"No head gives padding any weight, in {figures['rows']:,} rows.",
        "The mask of the history is wrong, so the ranker reads padding in place of items. With model.mask = inverted "
        "that is the published code's error, kept for comparison; set model.mask to right.",
    )


def _heads(figures: Json | None, figure: str, spared: tuple[str, ...] = ()) -> list[tuple[str, float]]:
    return [
        (_called(layer, number), head[figure])
        for layer in (figures or {"layers": []})["layers"]
        if layer["kind"] in JUDGED and layer["kind"] not in spared
        for number, head in enumerate(layer["heads"])
        if head[figure] is not None
    ]


def _called(layer: Json, number: int) -> str:
    return f"{layer['name']}, head {number + 1}" if len(layer["heads"]) > 1 else str(layer["name"])


def _also(count: int) -> str:
    return f"; {count - 1} more {'heads are' if count > 2 else 'head is'} beyond the limit" if count > 1 else ""


def _too_few() -> str:
    return f"the ranker has no weights on the history, or no history of valid has {ITEMS} items"
