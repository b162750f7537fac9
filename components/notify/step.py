"""Says how a run ended, also a failed or killed one: the verdict, the cause, a link."""

import json
import logging
import os
import sys
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

from components.process.progress import emit
from components.tracking.ending import ending_of
from components.tracking.runs import run_for
from components.tracking.tags import MODEL_VERSION, STANDING

WEBHOOK_VARIABLE = "MMCTR_NOTIFY_URL"  # a secret: chat webhooks carry their key in the address
_log = logging.getLogger(__name__)


def notify(experiment: str, pipeline_run: str, state: str) -> dict[str, Any]:
    """Ends the MLflow run, logs a summary, and posts it to the chat webhook when one is set.

    `state` is what Kubeflow says of the steps; how the run ended is read from the run's own record.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    run = run_for(pipeline_run, experiment)
    tags = run.tags()
    ending = ending_of(tags, time.time(), state)
    run.set_tags(ending.tags())
    summary = {
        "outcome": ending.outcome,
        "skipped": tags.get("mmctr.why", "") if ending.outcome == "skipped" else "",
        "model_version": tags.get(MODEL_VERSION, "none"),
        "standing": tags.get(STANDING, ""),
        "failed_step": ending.step,
        "cause": ending.cause,
        "run": run.url(),
    }
    run.finish(ending.status)
    emit("summary", **summary)
    _log.info("%s", sentence(summary))
    address = os.environ.get(WEBHOOK_VARIABLE)
    if address:
        _post(address, sentence(summary))
    return summary


def sentence(summary: Mapping[str, Any]) -> str:
    where = f" in {summary['failed_step']}" if summary["failed_step"] else ""
    sentences = {
        "registered": summary["standing"],
        "items refreshed": summary["standing"],
        "gate failed": "the candidate did not pass the gate; nothing was registered",
        "skipped": f"nothing to learn: {summary['skipped']}",
        "failed": f"the run failed{where}: {summary['cause']}",
        "killed": f"the run was killed{where}: {summary['cause']}",
    }
    return f"mmctr: {sentences[summary['outcome']]} ({summary['run']})"


def _post(address: str, text: str) -> None:
    """Posts to a chat webhook. If the chat does not answer, that is logged: it must not make a good run fail."""
    request = urllib.request.Request(address, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10):
            pass
    except OSError as error:
        _log.warning("the notification could not be posted: %s", type(error).__name__)
