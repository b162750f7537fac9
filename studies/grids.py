"""The studies by name. Each takes the run that its arms vary, and changes only the fields it asks about."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import model.presets as rankers
from components.run_config import RunConfig
from studies.plan import NOT_IN_NAMES, Arm, Study


def varied(base: RunConfig, **fields: Any) -> RunConfig:
    """The base with some fields of its model changed. Products of the history's sums go where there are no sums."""
    if fields.get("interest", "recency") != "recency":
        fields = {"block_products": False, **fields}
    return replace(base, model=replace(base.model, **fields))


_DIN: dict[str, Any] = {"interest": "din", "cross": "none", "head_widths": ()}  # as in model.presets.din
_PAPERS_K = 16
CHALLENGE_FEATURES = ("likes_level", "views_level")  # of data that bring no features.yaml
_KS = (1, 4, 8, _PAPERS_K, 32)


def ablation(base: RunConfig) -> Study:
    parts: list[tuple[str, dict[str, Any], float | None, float | None, str]] = [
        ("din", _DIN, 0.8577, 0.9326, "The organisers' baseline."),
        (
            "without transformer",
            {"interest": "mean"},
            0.9688,
            0.9741,
            "The history stays, as the mean of its items: the paper's row drops the transformer, not the history.",
        ),
        ("without cross", {"cross": "none"}, 0.9632, None, "The deep network alone; the paper writes w/o DCNv2."),
        ("full", {}, 0.9776, None, "The 1st-place solution, padding mask right."),
    ]
    content = base.model.content or ("concat",)
    base, arms = varied(base, content=content), []
    for name, fields, with_content, without, note in parts:
        factors = {"ranker": name, "content": "with"}
        arms.append(Arm(name, varied(base, **fields), note, with_content, factors))
        bare = varied(base, **fields, content=())
        arms.append(Arm(f"{name} - no content", bare, note, without, {**factors, "content": "without"}))
    length = max(base.model.history_length, max(_KS))
    papers = f"k = {_PAPERS_K}"
    for k in _KS:
        note = f"The full ranker on the newest {length} items; the newest k leave the transformer one by one."
        config = varied(base, last_k=k, history_length=length)
        against = "" if k == _PAPERS_K else papers
        arms.append(Arm(f"k = {k}", config, note, factors={"k": str(k)}, against=against))
    return Study(
        "ablation",
        "What each part of the paper's ranker is worth",
        "Which parts of the 1st-place ranker carry its AUC, with and without content?",
        tuple(arms),
        reference="full",
        pairs=tuple((name, f"{name} - no content") for name, *_ in parts if name != "full"),
        views=("paper", "factors", "history"),
    )


def mask(base: RunConfig) -> Study:
    inverted = (
        "As in the released code: the padding is read and the real items are ignored; of a history that fills all "
        f"{base.model.history_length} places only the newest item is read."
    )
    return Study(
        "mask",
        "The padding mask, right and as released",
        "The released code inverts its padding mask. What does a ranker lose that way, and on which histories?",
        (
            Arm("right", varied(base, mask="right"), "Attention sees the real items only."),
            Arm("inverted", varied(base, mask="inverted"), inverted),
        ),
        reference="right",
        views=("history", "attention"),
    )


def target_concat(base: RunConfig) -> Study:
    return Study(
        "target-concat",
        "Joining the target to every item of the history",
        "Does the transformer need the target item joined to each history item?",
        (
            Arm("with", varied(base, target_concat=True), "As in the paper."),
            Arm("without", varied(base, target_concat=False), "The transformer reads the history only."),
        ),
        reference="with",
        views=("attention", "history"),
    )


def sequence_length(base: RunConfig) -> Study:
    arms = [
        Arm(
            str(length),
            varied(base, history_length=length, last_k=min(base.model.last_k, length)),
            f"The newest {length} items of each history.",
            factors={"items": str(length)},
        )
        for length in (10, 20, 50, 100)
    ]
    return Study(
        "sequence-length",
        "How much of the history to read",
        "What do more items of a history bring, and what do they cost?",
        tuple(arms),
        reference="100",
        views=("history", "attention"),
    )


def alignment(base: RunConfig) -> Study:
    rankers: dict[str, dict[str, Any]] = {"transformer": {}, "din": _DIN}
    reference = "transformer raw linear"
    arms, pairs = [], []
    for ranker, fields in rankers.items():
        papers, bare = f"{ranker} raw linear", f"{ranker} - no content"
        # An arm is compared with its own ranker as the paper joins content; the study's reference is the transformer's.
        against = "" if papers == reference else papers
        factors = {"ranker": ranker, "norm": "no content", "map": "no content"}
        without = varied(base, **fields, content=())
        arms.append(
            Arm(bare, without, "Content is useful only if it does better than this.", against=against, factors=factors)
        )
        for norm in ("raw", "standardise", "l2", "rmsnorm"):
            for kind in ("none", "linear", "gated-mlp"):
                name = f"{ranker} {norm} {kind}"
                config = varied(base, **fields, content=("concat",), content_norm=norm, content_map=kind)
                factors = {"ranker": ranker, "norm": norm, "map": kind}
                arms.append(Arm(name, config, factors=factors, against="" if name == papers else against))
                if ranker == "din" and name != papers:
                    pairs.append((name, bare))
    return Study(
        "alignment",
        "Frozen content and learned embeddings",
        "Does content hurt DIN, as the paper found, and which normalisation and map correct that?",
        tuple(arms),
        reference=reference,
        pairs=tuple(pairs),
        views=("factors",),
    )


def quantisation(base: RunConfig) -> Study:
    """Embeddings are widened or narrowed so that every item vector is as wide as the concatenation's."""
    note = f"Embeddings {matched_width(base, ())} wide, so that the item vector is as wide as with content."
    arms = [
        Arm("concat", varied(base, content=("concat",)), "As in the paper: frozen content through a linear map."),
        Arm("none", varied(base, content=(), embedding_dim=matched_width(base, ())), note),
    ]
    for kind in ("residual", "product"):
        for levels in (2, 4):
            for size in (64, 256):
                width = matched_width(base, ("codes",))
                config = varied(
                    base,
                    content=("codes",),
                    code_kind=kind,
                    code_levels=levels,
                    codebook_size=size,
                    embedding_dim=width,
                )
                factors = {"kind": kind, "levels": str(levels), "codebook": str(size)}
                arms.append(Arm(f"{kind} {levels} x {size}", config, "Codes in place of content.", factors=factors))
    for kind in ("residual", "product"):
        width = matched_width(base, ("concat", "codes"))
        config = varied(
            base, content=("concat", "codes"), code_kind=kind, code_levels=4, codebook_size=256, embedding_dim=width
        )
        arms.append(Arm(f"concat + {kind} 4 x 256", config, f"Codes and content; embeddings {width} wide."))
    return Study(
        "quantisation",
        "Semantic codes against frozen content",
        "With as many parameters, do residual or product codes of the content do better than the content itself?",
        tuple(arms),
        reference="concat",
        views=("factors", "items"),
    )


def matched_width(base: RunConfig, content: tuple[str, ...]) -> int:
    """The embedding width at which an item vector is as wide as the base's with concatenated content."""
    model = base.model
    mapped = model.content_dim
    embeddings = 2 if model.item_levels == "none" else 4
    wanted = embeddings * model.embedding_dim + mapped
    left = wanted - (mapped if "concat" in content else 0)
    return max(1, round(left / (embeddings + ("codes" in content))))


def guidance(base: RunConfig) -> Study:
    weights: dict[str, dict[str, Any]] = {
        "init": {},
        "align": {"align_weight": base.train.align_weight or 0.1},
        "distil": {"distil_weight": 0.1},
    }
    notes = {
        "init": "Id embeddings begin at the content's principal components.",
        "align": "A contrastive loss pulls each id embedding towards its own content.",
        "distil": "Id embeddings learn to be as alike as their contents are.",
    }
    arms = [
        Arm("ids and tags", varied(base, content=()), "No content at all."),
        Arm("concat", varied(base, content=("concat",)), "As in the paper."),
    ]
    for partner in ("", "init", "concat"):
        for use, weight in weights.items():
            if use != partner:
                config = varied(base, content=(partner, use) if partner else (use,))
                config = replace(config, train=replace(config.train, **weight))
                arms.append(Arm(f"{partner} + {use}" if partner else use, config, notes[use], against=partner))
    return Study(
        "guidance",
        "Content that guides id embeddings",
        "Can content help to learn the id embeddings, above all those of new and rare items?",
        tuple(arms),
        reference="ids and tags",
        views=("items",),
    )


def levels(base: RunConfig) -> Study:
    places: list[tuple[str, bool, str]] = [
        ("none", False, "none"),
        ("row only", True, "none"),
        ("target only", False, "target"),
        ("history only", False, "history"),
        ("row and history", True, "history"),
        ("row and both", True, "both"),
    ]
    arms = [Arm(name, varied(base, row_features=row, item_levels=items)) for name, row, items in places]
    return Study(
        "levels",
        "Likes and views levels on the row, the target and the history",
        "Where do the popularity levels help: on the row, on the target item, on every history item?",
        tuple(arms),
        reference="row only",
        views=("items",),
    )


def similarity(base: RunConfig) -> Study:
    """Ways of comparing the history with the target, added to the sums by age that `best` makes of the history."""
    sums = varied(base, interest="recency", heads=4, content=("concat",))
    fixed, learned, both = ("concat", "similarity"), ("concat", "metric"), ("concat", "similarity", "metric")
    everything = varied(sums, content=both, block_products=True)
    arms = [
        Arm("sums alone", sums, "The cross network alone can compare them with the target."),
        Arm(
            "fixed",
            varied(sums, content=fixed),
            "A histogram of the content's cosines: the ranker `best` until 2026-11-28.",
        ),
        Arm("learned", varied(sums, content=learned), "Cosines of the content in four learned metrics."),
        Arm("products", varied(sums, block_products=True), "Each sum times the target, by id, tags and content."),
        Arm("all three", everything, "The ranker `best`."),
        Arm(
            "averaged",
            replace(everything, train=replace(base.train, average_decay=0.99)),
            "The same, scored with a moving average of its weights.",
            against="all three",
        ),
    ]
    return Study(
        "similarity",
        "How like the target is the history?",
        "Which comparison of the history with the target helps, above all for items that train never held?",
        tuple(arms),
        reference="fixed",
        views=("items",),
    )


def presets(base: RunConfig) -> Study:
    """The named rankers at the base's size: of their fields, those in which any two of them differ."""
    named = {name: vars(make("small")) for name, make in rankers.PRESETS.items()}
    differing = [field for field in named["paper"] if len({config[field] for config in named.values()}) > 1]
    rankers_here = {
        name: varied(base, **{field: config[field] for field in differing}) for name, config in named.items()
    }
    arms = [Arm(name, config) for name, config in rankers_here.items()]
    blind = varied(rankers_here["best"], interest="none", content=("concat",))
    note = "The ranker `best` without a look at the history: what the target item alone tells."
    arms.append(Arm("no history", blind, note))
    return Study(
        "presets",
        "The named rankers in one budget",
        "Does `best` beat the 1st-place solution, and what do the others reach on the same rows?",
        tuple(arms),
        reference="paper",
        views=("history", "items"),
    )


def features(base: RunConfig, declared: Sequence[str] = CHALLENGE_FEATURES) -> Study:
    """Each declared feature left out, and each alone. A name that rows and items share is one feature."""
    names = list(dict.fromkeys(declared))
    if not names:
        raise ValueError("study = 'features': the data set declares no features")

    def without(left_out: list[str]) -> RunConfig:
        return varied(base, left_out=tuple(left_out))

    arms = [Arm("all", without([]), "All declared features."), Arm("none", without(names), "No declared feature.")]
    pairs = []
    for name in names if len(names) > 1 else []:
        others = [other for other in names if other != name]
        arms.append(Arm(f"without {_arm_name(name)}", without([name]), "What the others cannot replace."))
        if len(others) > 1:
            arms.append(Arm(f"{_arm_name(name)} alone", without(others), "What it says by itself.", against="none"))
        else:  # of two features, the one alone is the ranker without the other
            pairs.append((f"without {_arm_name(name)}", "none"))
    return Study(
        "features",
        "What each declared feature is worth",
        "What does the ranker lose without each feature, and what does it gain from that one alone?",
        tuple(arms),
        reference="all",
        pairs=tuple(pairs),
        views=("items",),
    )


def _arm_name(feature: str) -> str:
    return "".join("_" if letter in NOT_IN_NAMES else letter for letter in feature)


STUDIES: dict[str, Callable[[RunConfig], Study]] = {
    "presets": presets,
    "ablation": ablation,
    "mask": mask,
    "target-concat": target_concat,
    "sequence-length": sequence_length,
    "alignment": alignment,
    "quantisation": quantisation,
    "guidance": guidance,
    "levels": levels,
    "similarity": similarity,
    "features": features,
}


def check_name(name: str) -> None:
    if name not in STUDIES:
        raise ValueError(f"study = {name!r}: must be one of {', '.join(STUDIES)}")


def study(name: str, base: RunConfig, declared: Sequence[str] = CHALLENGE_FEATURES) -> Study:
    """`declared` names the features of the data, which the study of the features asks about."""
    check_name(name)
    return features(base, declared) if name == "features" else STUDIES[name](base)
