"""What single studies ask beyond which arm is better: sentences from their slices, factors and attention."""

from collections.abc import Iterator
from typing import Any

from components.report.words import count, fixed, p_value, percent, signed

Json = dict[str, Any]
CALLED = {"din": "DIN", "transformer": "the transformer"}


def difference_text(found: Json) -> str:
    """`+0.0123 (95% +0.0100 to +0.0146, Holm p < 0.0001)`."""
    p = "no p-value" if found["p_holm"] is None else f"Holm p {p_value(found['p_holm'])}"
    if found["low"] is None:
        return f"{signed(found['difference'])} ({p})"
    return f"{signed(found['difference'])} (95% {signed(found['low'])} to {signed(found['high'])}, {p})"


def mask(results: Json) -> list[str]:
    """What the error in the mask does is known from the code; where it costs most is read off the slices."""
    explained = (
        "What the inverted mask does: the transformer attends to padding and ignores the real items. Of a history that "
        "fills the whole width it sees the newest item only."
    )
    found = [explained]
    arms = {arm["name"]: arm for arm in results["arms"]}
    for comparison in results["comparisons"]:
        pairs = list(_slice_pairs(arms, comparison, "history"))
        if pairs:
            parts = ", ".join(
                f"{signed(mine - theirs)} at {name} items ({count(rows)} rows)" for name, rows, mine, theirs in pairs
            )
            found.append(
                f"“{comparison['arm']}” minus “{comparison['against']}” by length of history, not tested: {parts}."
            )
    return found


def _slice_pairs(arms: dict[str, Json], comparison: Json, kind: str) -> Iterator[tuple[str, int, float, float]]:
    """(name, rows, AUC of the arm, AUC of the other) of each slice that both have."""
    sides = [arms.get(comparison[side], {}).get("slices") or {} for side in ("arm", "against")]
    theirs = {part["name"]: part for part in sides[1].get(kind, [])}
    for part in sides[0].get(kind, []):
        other = theirs.get(part["name"])
        if other is not None and part["auc"] is not None and other["auc"] is not None:
            yield part["name"], part["rows"], part["auc"], other["auc"]


def alignment(results: Json) -> list[str]:
    """Does content hurt, and does a normalisation or map correct that? Each ranker is compared with its own arm without
    content."""
    factors = {arm["name"]: arm["factors"] for arm in results["arms"]}
    sentences: list[str] = []
    for bare in (name for name, place in factors.items() if place.get("norm") == "no content"):
        own = next((c for c in results["comparisons"] if c["arm"] == bare), None)
        if own is None:
            continue
        papers, ranker = own["against"], factors[bare]["ranker"]
        called = CALLED.get(ranker, ranker)
        hurts = {
            "better": f"Content as the paper joins it hurts {called}: “{bare}” is better than “{papers}”",
            "worse": f"Content as the paper joins it helps {called}: “{bare}” is worse than “{papers}”",
            "inconclusive": f"Whether content as the paper joins it hurts {called} is inconclusive: "
            f"“{bare}” against “{papers}”",
        }
        sentences.append(f"{hurts[own['verdict']]}, {difference_text(own)}.")
        changed = [c for c in results["comparisons"] if factors[c["arm"]].get("ranker") == ranker and c["arm"] != bare]
        sentences += _mended([c for c in changed if c["against"] == papers], papers, "norm or map")
        sentences += _mended([c for c in changed if c["against"] == bare], bare, "norm or map of content")
    return sentences


def _mended(comparisons: list[Json], against: str, change: str) -> list[str]:
    """The changes that are shown to help, the harm of the others as a count."""
    if not comparisons:
        return []
    ranked = sorted(comparisons, key=lambda c: -float(c["difference"]))
    better = [c for c in ranked if c["verdict"] == "better"]
    worse = [c for c in ranked if c["verdict"] == "worse"]
    harm = (
        f"{len(worse) or 'none'} of {len(ranked)} is worse"
        if len(worse) < 2
        else f"{len(worse)} of {len(ranked)} are worse"
    )
    if worse:
        harm += f", the worst is “{worse[-1]['arm']}” {difference_text(worse[-1])}"
    if not better:
        top = ranked[0]
        highest = f"the highest is “{top['arm']}”, {difference_text(top)}"
        return [f"No {change} is shown to be better than “{against}”: {highest}; {harm}."]
    named = "; ".join(f"“{c['arm']}” {difference_text(c)}" for c in better[:3])
    more = f" and {len(better) - 3} more" if len(better) > 3 else ""
    return [f"Better than “{against}”: {named}{more}; {harm}."]


def ablation(results: Json) -> list[str]:
    """Differences in the paper and here: its AUCs are of other data, so only the differences can be compared."""
    areas = {arm["name"]: (arm["auc"] or {}).get("mean") for arm in results["arms"]}
    papers = {arm["name"]: arm["paper"] for arm in results["arms"] if arm["paper"] is not None}
    reference = results["reference"]
    if reference not in papers or areas[reference] is None:
        return []
    parts = [
        f"“{name}” {signed(area - areas[reference])} here, {signed(paper - papers[reference])} in the paper"
        for name, paper in papers.items()
        if name != reference and (area := areas[name]) is not None
    ]
    return [f"Differences to “{reference}”: {'; '.join(parts)}. The paper measured on other data."] if parts else []


def sequence_length(results: Json) -> list[str]:
    """What the longest costs against the shortest."""
    arms = [arm for arm in results["arms"] if arm["auc"] and arm["auc"]["mean"] is not None and arm["seconds"]]
    if len(arms) < 2:
        return []
    short, long = arms[0], arms[-1]
    return [
        f"From {short['name']} to {long['name']} items the AUC goes from {fixed(short['auc']['mean'])} to "
        f"{fixed(long['auc']['mean'])} and training takes {long['seconds'] / short['seconds']:.1f} times as long."
    ]


def quantisation(results: Json) -> list[str]:
    """How much of the content the codes keep."""
    kept = [(arm["name"], arm["codes"]["error"][-1]) for arm in results["arms"] if arm["codes"]]
    if not kept:
        return []
    parts = ", ".join(f"“{name}” {percent(error, 0)}" for name, error in kept)
    return [f"Variance of the content that its codes lose: {parts}."]


def items(results: Json) -> list[str]:
    """The highest arm on unseen, rare and known items, with the reference. Slices are not tested."""
    parts = []
    by_arm = {arm["name"]: {p["name"]: p for p in (arm["slices"] or {}).get("items", [])} for arm in results["arms"]}
    reference = by_arm.get(results["reference"], {})
    for name, part in reference.items():
        measured = {arm: p[name]["auc"] for arm, p in by_arm.items() if name in p and p[name]["auc"] is not None}
        if part["auc"] is None or not measured:
            continue
        best = max(measured, key=lambda arm: float(measured[arm]))
        lead = f"“{best}” {fixed(measured[best])}"
        if best != results["reference"]:
            lead += f" (“{results['reference']}” {fixed(part['auc'])})"
        parts.append(f"on {name} items ({count(part['rows'])} rows) {lead}")
    return [f"Highest mean AUC by how often train held the item, not tested: {'; '.join(parts)}."] if parts else []


def attention(results: Json) -> list[str]:
    """What the interest's last layer looks at, and whether anything fell on padding."""
    looked = [(arm["name"], last_layer(arm["attention"])) for arm in results["arms"] if arm["attention"]]
    if not looked:
        return []
    if len(looked) <= 2:
        sentences = [
            f"Attention of “{name}”, {layer['name']}, first seed: {_attention_text(layer)}." for name, layer in looked
        ]
    else:
        parts = "; ".join(
            f"“{name}” {percent(layer['oldest_quarter'])} (even attention: {percent(layer['quarter_items'])})"
            for name, layer in looked
        )
        sentences = [f"Attention on the oldest quarter of what is read, last layer, first seed: {parts}."]
    return [*sentences, _padding(results)]


def last_layer(found: Json) -> Json:
    """Of the interest itself; the layers of a target attention come after it and are left out."""
    layers: list[Json] = [layer for layer in found["layers"] if layer["kind"] == found["layers"][0]["kind"]]
    return layers[-1]


def _attention_text(layer: Json) -> str:
    parts = [f"entropy {percent(layer['entropy_share'], 0)} of the largest possible"]
    if layer["same_tag_attention"] is not None:
        parts.append(
            f"{percent(layer['same_tag_attention'])} on items that share a tag with the target, which are "
            f"{percent(layer['same_tag_items'])} of the items"
        )
    quarter = percent(layer["quarter_items"])
    parts.append(
        f"{percent(layer['newest_quarter'])} on the newest and {percent(layer['oldest_quarter'])} on the "
        f"oldest quarter ({quarter} of the items each)"
    )
    return ", ".join(parts)


def _padding(results: Json) -> str:
    seen = {arm["name"]: arm["attention"]["largest_on_padding"] for arm in results["arms"] if arm["attention"]}
    on = {name: largest for name, largest in seen.items() if largest}
    if not on:
        rows = min(arm["attention"]["rows"] for arm in results["arms"] if arm["attention"])
        return f"On the {count(rows)} rows looked at, no head of any layer attends to padding: its weight is exactly 0."
    parts = ", ".join(f"“{name}” with a weight of up to {fixed(largest)}" for name, largest in on.items())
    return f"Padding is attended to by {parts}."
