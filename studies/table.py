"""The arms of a study as a Markdown table: what docs and reviews can hold."""

from typing import Any

from components.report.words import count, duration, fixed, p_value, signed

Json = dict[str, Any]
HEAD = ("arm", "AUC [95%]", "difference [95%]", "Holm p", "", "parameters", "time")


def markdown_table(results: Json) -> list[str]:
    """One line for each arm, with its difference to the arm it is compared with; then the further comparisons."""
    paper = any(arm["paper"] is not None for arm in results["arms"])
    head = [*HEAD, *(["paper"] if paper else [])]
    lines = [_line(head), "|---" + "|---:" * (len(head) - 1) + "|"]
    own = first_comparisons(results)
    for arm in results["arms"]:
        found = own.get(arm["name"])
        difference = ["reference" if arm["name"] == results["reference"] else "–", "", ""]
        if found is not None:
            difference = _difference(found, results["reference"])
        cells = [arm["name"], auc_text(arm["auc"]), *difference, count(arm["parameters"]), duration(arm["seconds"])]
        lines.append(_line([*cells, *([fixed(arm["paper"])] if paper else [])]))
    further = [c for c in results["comparisons"] if own[c["arm"]] is not c]
    if further:
        lines += ["", _line(["arm", "against", *HEAD[2:5]]), "|---|---|---:|---:|---:|"]
        lines += [_line([c["arm"], c["against"], *_difference(c, c["against"])]) for c in further]
    return lines


def first_comparisons(results: Json) -> dict[str, Json]:
    """The first comparison of each arm."""
    first: dict[str, Json] = {}
    for comparison in results["comparisons"]:
        first.setdefault(comparison["arm"], comparison)
    return first


def auc_text(auc: Json | None) -> str:
    """`0.8499 ± 0.0035 [0.8412, 0.8586]`: mean, standard deviation over seeds, interval of the mean."""
    if auc is None or auc["mean"] is None:
        return "–"
    text = fixed(auc["mean"])
    if auc["sd"] is not None:
        text += f" ± {fixed(auc['sd'])}"
    return text if auc["low"] is None else f"{text} [{fixed(auc['low'])}, {fixed(auc['high'])}]"


def _difference(found: Json, usual: str) -> list[str]:
    text = signed(found["difference"])
    if found["low"] is not None:
        text += f" [{signed(found['low'])}, {signed(found['high'])}]"
    against = "" if found["against"] == usual else f" than {found['against']}"
    if against and found["verdict"] == "inconclusive":
        against = f" against {found['against']}"
    return [text, p_value(found["p_holm"]), f"{found['verdict']}{against}"]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
