"""The verdict in the words of the person who has to decide."""

import shlex
from typing import Any

from components.diagnosis.finding import warnings_of
from components.report.evidence import Evidence
from components.report.words import fixed, percent, signed, whole_percent

Json = dict[str, Any]


def heading(metrics: Json, verdict: Json, evidence: Evidence) -> list[str]:
    """What the page is about: which model, of which day, from which data."""
    lineage, summary = evidence.lineage, evidence.summary
    commit = f" ({lineage['data_commit'][:12]})" if lineage["data_commit"] else ""
    data = f"data revision {lineage['revision']}{commit}" if lineage["revision"] else f"data {lineage['data_md5'][:12]}"
    champion = f"compared with champion version {verdict['champion_version']}"
    compared = [champion] if metrics["champion"]["status"] != "none" else []
    return [f"Candidate of {evidence.date}", f"preset {summary['preset']}", data, *compared]


def headline(metrics: Json, verdict: Json, pipeline_run: str) -> Json:
    said = _headline(metrics, verdict, pipeline_run)
    return {**said, "sentences": [*said["sentences"], *_warned(metrics)]}


def _warned(metrics: Json) -> list[str]:
    names = ", ".join(f"“{finding['title']}”" for finding in warnings_of(metrics))
    return [f"Signs of trouble: {names}. Read below what they mean before you decide."] if names else []


def _headline(metrics: Json, verdict: Json, pipeline_run: str) -> Json:
    if not verdict["passed"]:
        return _refused(metrics, verdict)
    version = metrics["champion"]["version"]
    asked = sum(rule["applies"] for rule in verdict["rules"])
    held = f"All {asked} rules of the policy that apply hold."
    run, reviewer = f"--run {shlex.quote(pipeline_run)}", '--by "your name" --note "why"'
    review = {
        "next": "It is registered and waits for a person to approve or reject it.",
        "commands": [
            f"mmctr review show {run}",
            f"mmctr review approve {run} {reviewer}",
            f"mmctr review reject {run} {reviewer}",
        ],
    }
    if verdict["first_model"]:
        title = "The first model: good enough to serve"
        sentences = [f"{held} There is no champion yet, so nothing could be compared with one.", _ranks(metrics)]
    elif metrics["champion"]["status"] == "unreadable":
        title = "Good enough to serve, but not compared with the champion"
        sentences = [f"{held} Champion version {version} could not score this data, which the policy lets pass."]
        sentences.append(_ranks(metrics))
    else:
        title, sure = _standing(metrics, verdict)
        sentences = [f"{held} {_against(metrics)}.", sure]
    return {"stamp": "Passed the gate", "title": title, "sentences": sentences, **review}


def _standing(metrics: Json, verdict: Json) -> tuple[str, str]:
    """Whether the candidate is better or worse than the champion, as the gate tested it."""
    policy, tested = verdict["policy"], verdict["tested"]
    bounds = tested["comparison"][policy["unit"]]
    champion, certainty = f"champion version {metrics['champion']['version']}", whole_percent(tested["certainty"])
    if tested["standing"] == "better":
        return f"Better than {champion}", (
            f"The model is surely better: at {certainty} certainty its AUC is at least {fixed(bounds['low'])} higher."
        )
    if tested["standing"] == "worse":
        return f"A little worse than {champion}, within the allowed margin", (
            f"The model is surely a little worse, but within the allowed margin: its AUC is lower by at least "
            f"{fixed(-bounds['high'])} and by no more than {fixed(-bounds['low'])}, each at {certainty} certainty; the "
            f"policy allows a loss of {fixed(policy['delta'])}."
        )
    return f"No worse than {champion}, within what the policy allows", (
        f"Neither model is shown to be better: the difference may be as low as {signed(bounds['low'])} or as high as "
        f"{signed(bounds['high'])} AUC, each at {certainty} certainty; the policy allows a loss of "
        f"{fixed(policy['delta'])}."
    )


def _refused(metrics: Json, verdict: Json) -> Json:
    failed = [rule for rule in verdict["rules"] if not rule["passed"]]
    serving = metrics["champion"]["status"] != "none"
    title = "Should not replace the champion" if serving else "Not good enough to serve"
    first = f"{len(failed)} rule{'s' if len(failed) > 1 else ''} of the policy failed. {failed[0]['sentence']}"
    more = [f"“{rule['title']}”" for rule in failed[1:]]
    sentences = [first]
    if more:
        sentences.append(f"Also failed: {', '.join(more)}.")
    left = f"Champion version {metrics['champion']['version']} keeps serving." if serving else "Nothing was registered."
    return {
        "stamp": "Stopped at the gate",
        "title": title,
        "sentences": sentences,
        "next": f"{left} The rules below say what would have to change.",
        "commands": [],
    }


def _ranks(metrics: Json) -> str:
    blind = metrics["baselines"]["item_click_rate"]["auc"]["value"]
    return (
        f"Of all pairs of a clicked and another row it ranks {percent(metrics['candidate']['auc']['value'])} right; "
        f"the item's past click rate alone ranks {percent(blind)} right, guessing 50%."
    )


def _against(metrics: Json) -> str:
    ours, theirs = metrics["candidate"]["auc"]["value"], metrics["champion"]["scores"]["auc"]["value"]
    return (
        f"Of all pairs of a clicked and another row it ranks {percent(ours)} right, the champion {percent(theirs)} "
        f"(AUC {signed(ours - theirs)})"
    )
