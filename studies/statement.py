"""What a study found, in sentences made from its numbers: never more than the numbers say."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from components.report.words import count, fixed, signed
from studies import answers
from studies.answers import difference_text

Json = dict[str, Any]
LISTED = 5  # so many comparisons are listed in full; of more, only the first and the last


def statement(results: Json) -> list[str]:
    """What was found, then why it may be wrong."""
    return [*findings(results), *limits(results)]


def findings(results: Json) -> list[str]:
    """The answer first, then what else was seen."""
    own_answers: dict[str, Callable[[Json], list[str]]] = {
        "mask": answers.mask,
        "ablation": answers.ablation,
        "sequence-length": answers.sequence_length,
        "quantisation": answers.quantisation,
    }
    in_grid = answers.alignment(results) if results["study"] == "alignment" else []
    sentences = in_grid or families(results)
    if results["study"] in own_answers:
        sentences += own_answers[results["study"]](results)
    if "items" in results["views"]:
        sentences += answers.items(results)
    if "attention" in results["views"]:
        sentences += answers.attention(results)
    return sentences or _levels_alone(results)


def families(results: Json) -> list[str]:
    """Comparisons grouped by what the arms are compared with: first better arms, then worse, then inconclusive ones."""
    sentences: list[str] = []
    by_against = sorted(results["comparisons"], key=lambda c: _order(results, c["against"]))
    for against, group in groupby(by_against, key=lambda c: str(c["against"])):
        comparisons = list(group)
        one = len(comparisons) == 1
        sentences += [single(results, comparisons[0])] if one else family(results, against, comparisons)
    return sentences


def single(results: Json, found: Json) -> str:
    """One comparison as one sentence, with both AUCs where they are there."""
    by_name = {arm["name"]: arm["auc"] for arm in results["arms"]}
    first, second = ((by_name.get(found[side]) or {}).get("mean") for side in ("arm", "against"))
    areas = "" if first is None or second is None else f"AUC {fixed(first)} against {fixed(second)}, "
    if found["verdict"] == "inconclusive":
        pair = f"“{found['arm']}” is better or worse than “{found['against']}”"
        return f"Whether {pair} is inconclusive: {areas}{difference_text(found)}."
    return f"“{found['arm']}” is {found['verdict']} than “{found['against']}”: {areas}{difference_text(found)}."


def family(results: Json, against: str, comparisons: list[Json]) -> list[str]:
    by_verdict = {
        verdict: sorted((c for c in comparisons if c["verdict"] == verdict), key=lambda c: -c["difference"])
        for verdict in ("better", "worse", "inconclusive")
    }
    better, worse, unsure = by_verdict.values()
    counted = f"{len(better)} better, {len(worse)} worse, {len(unsure)} inconclusive"
    sentences = [f"Of {len(comparisons)} arms compared with “{against}”: {counted}."]
    if better:
        sentences.append(f"Better than “{against}”: {listed(better)}.")
    if worse:
        sentences.append(f"Worse than “{against}”: {listed(worse[::-1])}.")
    if unsure:
        why = "one seed alone proves nothing" if len(results["seeds"]) == 1 else "chance could explain the difference"
        sentences.append(f"Inconclusive, {why}: {listed(unsure)}.")
    return sentences


def listed(comparisons: Sequence[Json]) -> str:
    """Each with its difference; of many the outermost two with theirs, the others by name."""
    if len(comparisons) <= LISTED:
        return "; ".join(f"“{c['arm']}” {difference_text(c)}" for c in comparisons)
    first, *between, last = comparisons
    names = ", ".join(f"“{c['arm']}” {signed(c['difference'])}" for c in between)
    return f"“{first['arm']}” {difference_text(first)}; {names}; “{last['arm']}” {difference_text(last)}"


def limits(results: Json) -> list[str]:
    """Why a reader should be careful with the sentences above."""
    found = []
    if len(results["seeds"]) == 1:
        found.append(
            "Every comparison is called inconclusive because the study has one seed: another start of the same "
            "training could turn a difference round. Run it with --seeds 3 or more."
        )
    rows = results["data"]["rows"]
    if rows["used"] < rows["train"]:
        found.append(
            f"Learned from {count(rows['used'])} of {count(rows['train'])} train rows; more may change the order."
        )
    missing = len(results["failed"])
    if missing:
        runs = f"{missing} training{'s' if missing > 1 else ''}"
        found.append(f"{runs} failed and {'are' if missing > 1 else 'is'} not in these numbers.")
    return found


def _levels_alone(results: Json) -> list[str]:
    """A study with nothing to compare still has its arms."""
    measured = [arm for arm in results["arms"] if arm["auc"] is not None and arm["auc"]["mean"] is not None]
    if not measured:
        return ["No training has finished: nothing was found yet."]
    best = max(measured, key=lambda arm: float(arm["auc"]["mean"]))
    return [f"Nothing was compared. “{best['name']}” has an AUC of {fixed(best['auc']['mean'])}."]


def _order(results: Json, name: str) -> tuple[bool, int]:
    names = [arm["name"] for arm in results["arms"]]
    return name != results["reference"], names.index(name)
