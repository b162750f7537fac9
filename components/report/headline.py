"""The verdict in the words of the person who has to decide."""

from typing import Any

from components.report.words import percent, signed

Json = dict[str, Any]


def headline(metrics: Json, verdict: Json) -> Json:
    if not verdict["passed"]:
        return _refused(metrics, verdict)
    version = metrics["champion"]["version"]
    asked = sum(rule["applies"] for rule in verdict["rules"])
    held = f"All {asked} rules of the policy that apply hold."
    review = {"next": "It waits for a person to approve or reject it:", "command": "mmctr review list"}
    if verdict["first_model"]:
        title = "The first model: good enough to serve"
        sentences = [f"{held} There is no champion yet, so nothing could be compared with one.", _ranks(metrics)]
    elif metrics["champion"]["status"] == "unreadable":
        title = "Good enough to serve, but not compared with the champion"
        sentences = [f"{held} Champion version {version} could not score this data, which the policy lets pass."]
        sentences.append(_ranks(metrics))
    else:
        gain = metrics["comparison"]["users"]
        if gain["low"] is not None and gain["low"] > 0:
            title = f"Better than champion version {version}"
            sure = "and chance does not explain the gain."
        else:
            title = f"No worse than champion version {version}, within what the policy allows"
            sure = "but that it is better is not shown: chance could explain the difference."
        sentences = [f"{held} {_against(metrics)}, {sure}"]
    return {"stamp": "Passed the gate", "title": title, "sentences": sentences, **review}


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
        "stamp": "Stopped at the gate", "title": title, "sentences": sentences,
        "next": f"{left} The rules below say what would have to change.", "command": None,
    }  # fmt: skip


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
