"""The train step: dataset, embeddings and config in, weights and curves out."""

from pathlib import Path
from typing import Any

from components.artifacts import Artifacts
from components.storage.files import read_json, write_json
from components.storage.locks import alone
from components.storage.verified import intact
from components.train.config import Recipe
from components.train.job import prepare_job
from components.train.launch import LAUNCHERS
from components.train.watch import OnMetrics


def train(
    made: Artifacts,
    recipe: Recipe,
    work: Path,
    out: Path,
    on_metrics: OnMetrics = lambda step, metrics: None,  # noqa: ARG005
) -> dict[str, Any]:
    """Writes model.safetensors, curves.json and summary.json to `out`, and returns the summary.

    `work` outlives the step: a finished training of the same content is returned at once, an interrupted one continues,
    and if another process is working on the same training, the step waits for it.
    """
    job = prepare_job(made, recipe, work)
    with alone(job.lock):
        if intact(job.results):
            for row in read_json(job.results / "curves.json")["epochs"]:
                on_metrics(int(row["step"]), {name: value for name, value in row.items() if name != "step"})
        else:
            job.write()
            LAUNCHERS[recipe.train.launcher](job, on_metrics)
        job.copy_results(out)
    # Two trainings of one content may have started from scratch for different reasons, so the step tells its own.
    summary: dict[str, Any] = {**read_json(out / "summary.json"), "start": job.start.told()}
    write_json(out / "summary.json", summary)
    return summary
