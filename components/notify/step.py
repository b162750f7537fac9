"""The last word of a run, also of a failed one: verdict, links, cause."""

import json
import logging
import os
import sys
import urllib.request
from typing import Any

from components.process.progress import emit
from components.tracking.runs import run_for

WEBHOOK_VARIABLE = "MMCTR_NOTIFY_URL"  # a secret: chat webhooks carry their key in the address
_log = logging.getLogger(__name__)


def notify(experiment: str, pipeline_run: str, state: str, message: str) -> dict[str, Any]:
    """Ends the MLflow run, logs a summary, and posts it to the chat webhook when one is set."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    run = run_for(pipeline_run, experiment)
    tags = run.tags()
    summary = {
        "state": state,
        "gate": tags.get("mmctr.gate", "not reached"),
        "skipped": tags.get("mmctr.why", "") if tags.get("mmctr.freshness") == "skip" else "",
        "model_version": tags.get("mmctr.model_version", "none"),
        "failed_step": tags.get("mmctr.failed_step", ""),
        "cause": tags.get("mmctr.failure", message),
        "run": run.url(),
    }
    run.finish(succeeded=state == "SUCCEEDED")
    emit("summary", **summary)
    _log.info("%s", sentence(summary))
    address = os.environ.get(WEBHOOK_VARIABLE)
    if address:
        _post(address, sentence(summary))
    return summary


def sentence(summary: dict[str, Any]) -> str:
    if summary["state"] != "SUCCEEDED":
        where = summary["failed_step"] or "the pipeline"
        return f"mmctr: the run failed in {where}: {summary['cause']} ({summary['run']})"
    if summary["skipped"]:
        return f"mmctr: nothing to learn: {summary['skipped']} ({summary['run']})"
    if summary["gate"] == "pass":
        return f"mmctr: version {summary['model_version']} passed the gate and waits for review ({summary['run']})"
    return f"mmctr: the candidate did not pass the gate; the champion stays ({summary['run']})"


def _post(address: str, text: str) -> None:
    """Posts to a chat webhook. A chat that is down must not turn a good run into a failed one: it is logged."""
    request = urllib.request.Request(address, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10):
            pass
    except OSError as error:
        _log.warning("the notification could not be posted: %s", type(error).__name__)
