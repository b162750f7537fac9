"""The data of a run, in the form that MLflow's pages list and compare: one data set for each split."""

import json

from components.dataset.lineage import Lineage
from components.tracking.runs import TrackedRun

_CONTEXTS = {"train": "training", "valid": "validation", "test": "testing"}


def log_data(run: TrackedRun, lineage: Lineage) -> None:
    """Written once, however often a step asks: MLflow knows a data set by its name and digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = {
        "repository": lineage.repository,
        "revision": lineage.revision,
        "commit": lineage.data_commit,
        "data_md5": lineage.data_md5,
        "remote": lineage.remote,
    }
    found = []
    for split, context in _CONTEXTS.items():
        if facts := lineage.files.get(f"{split}.parquet"):
            dataset = Dataset(
                name=f"{split}.parquet",
                digest=str(facts.get("md5") or lineage.data_md5)[:32],
                source_type="dvc" if lineage.repository else "folder",
                source=json.dumps(source),
                profile=json.dumps({"bytes": facts.get("size")}),
            )
            found.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    if found:
        run.server.call("log_inputs", run.run_id, datasets=found)
