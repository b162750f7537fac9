"""Sections of the page that show the results of the other steps."""

from dataclasses import dataclass
from typing import Any

from components.report import charts
from components.report.words import count, duration, fixed, size

Json = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    validation: Json
    manifest: Json
    curves: Json
    summary: Json
    lineage: Json
    pipeline_run: str
    date: str  # the day of the decision
    contact_sheet: str | None  # data URI


def training_view(evidence: Evidence) -> Json:
    epochs, steps = evidence.curves.get("epochs", []), evidence.curves.get("steps", [])
    if not epochs:
        return {"charts": [], "sentence": ""}
    # A training that starts from the champion may keep the champion's weights, those of epoch 0 on the page.
    passes = [{"epoch": -1, **row} for row in evidence.curves.get("champion", [])] + epochs
    best = max(passes, key=lambda row: row["valid_auc"])
    mark = {"x": best["epoch"] + 1, "text": "kept"}
    auc = {"AUC on valid": [(row["epoch"] + 1, row["valid_auc"]) for row in passes]}
    caption = "After each pass over train. The epoch with the best value is kept."
    pictures = [_chart("AUC on valid", auc, "Epoch", mark, caption)]
    losses = {"train": [(row["epoch"] + 1, row["train_loss"]) for row in epochs]}
    if all("valid_log_loss" in row for row in epochs):
        losses["valid"] = [(row["epoch"] + 1, row["valid_log_loss"]) for row in epochs]
    if len(epochs) > 1:
        caption = "Where the loss on train falls and the one on valid rises, the model memorises."
        pictures.append(_chart("Loss", losses, "Epoch", mark, caption))
    elif len(steps) > 1:
        points = {"train": [(row["step"], row["train_loss"]) for row in steps]}
        pictures.append(_chart("Loss", points, "Step", None, "The loss on train within the single epoch."))
    kept = f"epoch {best['epoch'] + 1} was kept" if best["epoch"] >= 0 else "the champion's own weights were kept"
    start = _start(evidence.summary)
    passes_over = f"{len(epochs)} pass{'es' if len(epochs) > 1 else ''} over {'these rows' if start else 'train'}"
    sentence = f"{start}{passes_over}; {kept}, with AUC {fixed(best['valid_auc'])} on valid."
    return {"charts": pictures, "sentence": f"{sentence} It took {duration(evidence.summary['seconds'])}."}


def _start(summary: Json) -> str:
    """For a training that started from the champion: which one, and from which rows it learned."""
    start, rows = summary.get("start", {}), summary["rows"]
    if start.get("from") != "champion":
        return ""
    learned = f"all {count(rows['train'])} rows"
    if "new" in rows:
        learned = f"the {count(rows['new'])} rows newer than it and {count(rows['replayed'])} older ones"
    return f"It started from champion version {start['parent']} and learned from {learned}. "


def _origin_of_weights(start: Json) -> str:
    """Where the training started, and why there. Summaries of earlier versions do not say it."""
    if start.get("from") != "champion":
        return f"random weights: {start['why']}" if start else ""
    return f"champion version {start['parent']}; starts from a champion in a row: {start['chain']}"


def _chart(title: str, series: dict[str, Any], x_label: str, mark: Json | None, caption: str) -> Json:
    legend = list(zip(("candidate", "champion", "history_blind"), series, strict=False))
    return {"title": title, "caption": caption, "legend": legend, "svg": charts.training(series, x_label, title, mark)}


def data_view(evidence: Evidence) -> Json:
    rules = [_described(rule) for rule in evidence.validation["rules"]]
    concerns = [rule for rule in rules if not rule["passed"]]
    asked = [rule for rule in rules if rule["passed"] and not rule["not_measured"]]
    drift = [rule for rule in asked if rule["name"].endswith("-drift")]
    words = {
        "clean": "Every check holds.",
        "warned": "The run went on, with warnings that a person should read.",
        "quarantined": "Some faulty rows were set aside; nothing was learned from or measured on them.",
        "stopped": "The data did not pass.",
    }
    silent = len(rules) - len(asked) - len(concerns)
    sentence = f"{len(asked) + len(concerns)} checks were made before training"
    sentence += f"; {silent} did not apply. " if silent else ". "
    return {
        "sentence": sentence + words[evidence.validation["status"]],
        "concerns": concerns,
        "drift": drift,
        "features": evidence.validation.get("features", []),
        "held": [rule for rule in asked if rule not in drift],
    }


def _described(rule: Json) -> Json:
    """The rule's own sentences, without the name that its message starts with."""
    found = rule["message"].removeprefix(f"{rule['name']}: ")
    return {**rule, "title": _sentence(rule["what"]), "found": f"{_sentence(found)} {rule['why']}"}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "…")) else ".")


def content_view(evidence: Evidence) -> Json:
    manifest = evidence.manifest
    if manifest["source"] == "existing":
        made = "came with the data"
    else:
        made = " and ".join(
            f"{_source(origin)} for {modality}" for modality, origin in sorted(manifest["encoders"].items())
        )
        made = f"were made from {made}"
    parts = [f"The content vectors of {count(manifest['items'])} items {made}."]
    parts += [
        f"{count(number)} items had no usable {modality} and were given an average one."
        for modality, number in manifest["imputed_counts"].items()
        if number
    ]
    causes = manifest["bad_input"]["causes"]
    if causes:
        named = ", ".join(f"{cause} ({count(facts['count'])})" for cause, facts in sorted(causes.items()))
        parts.append(f"Why: {named}.")
    return {"sentence": " ".join(parts), "sheet": evidence.contact_sheet}


def _source(origin: Json) -> str:
    return f"the encoder {origin['encoder']}" if "encoder" in origin else "the vectors in the data"


def origin_view(evidence: Evidence) -> list[tuple[str, Json]]:
    lineage, summary = evidence.lineage, evidence.summary
    files = sum(facts.get("files", 1) for facts in lineage["files"].values())
    changed = " (with changes that no commit holds)" if lineage["code_changed"] else ""
    lines = [
        ("Data repository", lineage["repository"], True),
        ("Data revision", lineage["revision"], True),
        ("Data commit", lineage["data_commit"], True),
        ("Data md5", lineage["data_md5"], True),
        ("Data", f"{count(files)} files, {size(lineage['size'])}", False),
        ("Code commit", (lineage["code_commit"] or "unknown") + changed, True),
        ("Installed packages", lineage["lock_sha256"], True),
        ("Preset", summary["preset"], True),
        ("Training key", summary["training"], True),
        ("Started from", _origin_of_weights(summary.get("start", {})), False),
        ("Seed", summary["seed"], True),
        ("Trainable weights", count(summary["parameters"]), False),
        ("Rows learned from", count(summary["rows"]["train"]), False),
        ("In the loss a row counts", "by its weight" if summary.get("weighted") else None, False),
        ("Trained on", f"{summary['device']}, {summary['ranks']} process(es), torch {summary['torch']}", False),
    ]
    return [(name, {"text": str(value), "code": code}) for name, value, code in lines if value not in (None, "")]
