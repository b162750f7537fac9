"""What the other steps left behind, as sections of the page. A fact that a step did not record is left out."""

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
    contact_sheet: str | None  # data URI


def training_view(evidence: Evidence) -> Json:
    epochs, steps = evidence.curves.get("epochs", []), evidence.curves.get("steps", [])
    if not epochs:
        return {"charts": [], "sentence": ""}
    best = max(epochs, key=lambda row: row["valid_auc"])
    mark = {"x": best["epoch"] + 1, "text": "kept"}
    auc = {"AUC on valid": [(row["epoch"] + 1, row["valid_auc"]) for row in epochs]}
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
    sentence = (
        f"{len(epochs)} pass{'es' if len(epochs) > 1 else ''} over train; epoch {best['epoch'] + 1} was kept, "
        f"with AUC {fixed(best['valid_auc'])} on valid."
    )
    seconds = evidence.summary.get("seconds")
    return {"charts": pictures, "sentence": sentence + (f" It took {duration(seconds)}." if seconds else "")}


def _chart(title: str, series: dict[str, Any], x_label: str, mark: Json | None, caption: str) -> Json:
    legend = list(zip(("candidate", "champion", "history_blind"), series, strict=False))
    return {"title": title, "caption": caption, "legend": legend, "svg": charts.training(series, x_label, title, mark)}


def data_view(evidence: Evidence) -> Json:
    rules = evidence.validation["rules"]
    concerns = [rule for rule in rules if not rule["passed"]]
    drift = [rule for rule in rules if rule["name"].endswith("-drift") and rule["passed"]]
    held = [rule for rule in rules if rule["passed"] and rule not in drift]
    words = {
        "clean": "Every check holds.",
        "warned": "The run went on, with warnings that a person should read.",
        "quarantined": "Some faulty rows were set aside; nothing was learned from or measured on them.",
        "stopped": "The data did not pass.",
    }
    sentence = f"{len(rules)} checks were made before training. {words[evidence.validation['status']]}"
    return {"sentence": sentence, "concerns": concerns, "drift": drift, "held": held}


def content_view(evidence: Evidence) -> Json:
    manifest = evidence.manifest
    items, imputed = manifest.get("items"), manifest.get("imputed", [])
    parts = [f"{count(items)} items have a text and image vector." if isinstance(items, int) else ""]
    if imputed:
        parts.append(f"For {count(len(imputed))} of them content was missing and filled in with an average.")
    return {"sentence": " ".join(part for part in parts if part), "sheet": evidence.contact_sheet}


def origin_view(evidence: Evidence) -> list[tuple[str, Json]]:
    lineage, summary = evidence.lineage, evidence.summary
    lines = [
        ("Data revision", lineage.get("revision"), True),
        ("Data commit", lineage.get("commit"), True),
        ("Data hash", lineage.get("md5"), True),
        ("Data size", size(lineage["size"]) if lineage.get("size") else None, False),
        ("Files", count(lineage["files"]) if isinstance(lineage.get("files"), int) else None, False),
        ("Code commit", summary.get("code_commit"), True),
        ("Preset", summary.get("preset"), True),
        ("Configuration hash", summary.get("config_hash"), True),
        ("Seed", summary.get("seed"), True),
        ("Trainable weights", count(summary["parameters"]) if summary.get("parameters") else None, False),
        ("Item content", evidence.manifest.get("key"), True),
    ]
    return [(name, {"text": str(value), "code": code}) for name, value, code in lines if value is not None]
