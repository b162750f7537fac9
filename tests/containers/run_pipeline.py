"""The training pipeline through kfp's DockerRunner, each step in a container as strict as the cluster's.

python -m tests.containers.run_pipeline ARGUMENTS.json
"""

import json
import sys
import warnings
from pathlib import Path

from kfp import local

from pipelines.training import training_pipeline


def main(path: str) -> None:
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # kfp's advice about containers without its package
    given = json.loads(Path(path).read_text())
    runner = local.DockerRunner(
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="none",
        environment={"MLFLOW_TRACKING_URI": given["tracking"], "OMP_NUM_THREADS": "1"},
    )
    local.init(runner, pipeline_root=given["root"])
    training_pipeline(**given["arguments"])


if __name__ == "__main__":
    main(sys.argv[1])
