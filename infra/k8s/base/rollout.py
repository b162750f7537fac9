"""Rolls serving onto the version that the alias `champion` names: after an approval, and after a rollback.

    python3 rollout.py INFERENCE_SERVICE NAMESPACE [--model mmctr]

The version is pinned by its number, so that a pod that starts later serves the same model as the others. Before the
number changes, the hash of the version's files is compared with the one that its approval recorded. Nothing is changed
when the numbers agree, or when there is no champion yet. Runs in the cpu image.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import kubernetes

from components.errors import StepError
from components.packages.fetch import fetch_package, version_at
from components.tracking.models import Models
from components.tracking.server import connect
from components.tracking.tags import CHAMPION

KIND = ("serving.kserve.io", "v1beta1")
VARIABLE = "MODEL_VERSION"  # of the first container, whose command names the model by it


def roll(api: Any, service: str, namespace: str, models: Models) -> str:
    """Brings the service to the champion; returns what was done."""
    version = version_at(models, CHAMPION)
    if version is None:
        return "there is no champion yet"
    champion = version.number
    found = api.get_namespaced_custom_object(*KIND, namespace, "inferenceservices", service)
    containers = found["spec"]["predictor"]["containers"]
    variables = containers[0].get("env", [])
    index = next((index for index, variable in enumerate(variables) if variable["name"] == VARIABLE), None)
    if index is None:
        raise StepError(f"InferenceService {service}: its first container has no variable {VARIABLE}")
    before = variables[index]["value"]
    if before == str(champion):
        return f"version {champion} is served already"
    with tempfile.TemporaryDirectory() as scratch:
        fetch_package(models, version, Path(scratch) / "package")  # raises unless the files are the approved ones
    containers[0]["env"][index]["value"] = str(champion)
    # A merge patch, which is all that the client sends of a custom object, replaces lists as a whole. With the version
    # of the object that was read, the API server refuses it if somebody else was faster.
    read = {"resourceVersion": found["metadata"]["resourceVersion"]}
    patch = {"metadata": read, "spec": {"predictor": {"containers": containers}}}
    api.patch_namespaced_custom_object(*KIND, namespace, "inferenceservices", service, patch)
    return f"version {before} -> {champion}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    parser.add_argument("namespace")
    parser.add_argument("--model", default="mmctr")
    given = parser.parse_args()
    kubernetes.config.load_incluster_config()
    models = Models(connect(), given.model)
    print(roll(kubernetes.client.CustomObjectsApi(), given.service, given.namespace, models))


if __name__ == "__main__":
    main()
