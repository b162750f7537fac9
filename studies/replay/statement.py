"""What a replay found beside its advice, in sentences made from its numbers: never more than the numbers say."""

from typing import Any

from components.report.words import fixed, signed

Json = dict[str, Any]


def aged(results: Json) -> str:
    found = results["ageing"]["loss_a_day"]
    if found is None:
        return "Too few days had an older and a fresh model side by side to say how fast a model ages."
    interval = f"95% {signed(found['low'], 5)} to {signed(found['high'], 5)}"
    text = f"{fixed(found['value'], 5)} AUC a day ({interval}, {found['days']} days)"
    if found["low"] > 0:
        return f"A model loses {text}."
    if found["high"] < 0:
        return f"Older models served better than fresh ones: the loss is {text}."
    return f"Whether a model ages is not shown: the loss is {text}."


def gate_sentence(results: Json) -> str:
    lines = results["gate"]
    refused = [line for line in lines if line["by"] == "the gate"]
    stopped = len(lines) - len(refused)
    trained = sum(policy["trained"] for policy in results["policies"])
    text = f"Of {trained} candidates the gate refused {len(refused)}"
    if refused:
        counted = {
            kind: sum(line["judged"] == kind for line in refused) for kind in ("right", "wrong", "open", "unknown")
        }
        parts = [
            f"{counted['right']} would have served surely worse than the champion on the next day",
            f"{counted['wrong']} surely better",
            f"of {counted['open']} the next day does not tell",
        ]
        text += f": {', '.join(parts)}"
        if counted["unknown"]:
            text += f", and {counted['unknown']} had no champion to be compared with"
    text += "."
    if stopped:
        nights = f"{stopped} night{'s' if stopped > 1 else ''}"
        text += f" Validation or another step stopped {nights} before there was a candidate."
    return text


def truth_lines(results: Json) -> list[str]:
    """What happened in a generated data set, and whether the replay found the best policy."""
    truth = results["truth"]
    if truth is None:
        return []
    first = truth["first_day"]
    lines = [f"The data are made up, so what happened is known. Day 0 is {first}."]
    if truth["shift_day"] is not None:
        lines.append(f"On day {truth['shift_day']} the tastes of all users shift at once.")
    if truth["broken_day"] is not None:
        lines.append(f"On day {truth['broken_day']} the feed of {truth['broken_field']} is broken and delivers none.")
    areas = ", ".join(f"{name} {fixed(area)}" for name, area in truth["policies"].items())
    lines.append(f"With perfect knowledge as of its last training each policy would serve with an AUC of: {areas}.")
    best, names = truth["best"], [policy["name"] for policy in results["policies"]]
    if _how_often(best) not in map(_how_often, names):
        return [*lines, f"The best policy is “{best}”, which was not replayed."]
    found = results["advice"]["use"]
    if found is None or _how_often(found) != _how_often(best):
        return [*lines, f"The best policy is “{best}”. The replay advises “{found}” instead."]
    warm = "" if found == best else " The truth does not tell warm from cold: knowledge of the same night is the same."
    return [*lines, f"The best policy is “{best}”. The replay found it.{warm}"]


def _how_often(policy: str) -> str:
    return policy.removeprefix("cold ").removeprefix("warm ")


def cautions(results: Json) -> list[str]:
    found = []
    short = [p["name"] for p in results["policies"] if len(p["nights"]) < results["plan"]["nights"]]
    if short:
        found.append(f"Not all nights are finished for {', '.join(short)}: run the same command to go on.")
    found += [f"{line['policy']} failed: {line['message']}" for line in results["failed"]]
    nobody = [p["name"] for p in results["policies"] if any(night["auc"] is None for night in p["nights"])]
    if nobody:
        served = f"{', '.join(nobody)} had no model in service"
        found.append(f"On some days {served}, or all rows had one label: these days have no AUC.")
    return found
