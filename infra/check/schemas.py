"""Checks that the API server knows every field. It silently drops fields that it does not know; here they are an error.

Core kinds are held against Kubernetes' own strict schema, TrainJob and ClusterTrainingRuntime against the models of
`kubeflow-trainer-api` (which drop unknown fields too, so what they write back is compared), the other custom kinds
against infra/schemas.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from kubeflow_trainer_api import models
from pydantic import ValidationError

from infra.check.build import Manifest

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"
KUBERNETES = "1.33"  # the oldest version that is supported
TRAINER = {
    "TrainJob": models.TrainerV1alpha1TrainJob,
    "ClusterTrainingRuntime": models.TrainerV1alpha1ClusterTrainingRuntime,
}


def schema_errors(manifest: Manifest) -> list[str]:
    kind, version = manifest.get("kind", ""), manifest.get("apiVersion", "")
    if kind in TRAINER:
        return _round_trip(manifest, TRAINER[kind]) + _pods_in(manifest)
    if (SCHEMAS / f"{kind.lower()}.json").exists():
        return _custom(manifest, kind)
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{_path(error.path)}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"{version} {kind}: there is no schema for this kind; write one in infra/schemas"]
    return []


def _custom(manifest: Manifest, kind: str) -> list[str]:
    schema = _schema(kind.lower())
    errors: list[str] = []
    predictor = manifest.get("spec", {}).get("predictor") if kind == "InferenceService" else None
    if isinstance(predictor, dict):
        own = set(schema["properties"]["spec"]["properties"]["predictor"]["properties"])
        errors += _pod({key: value for key, value in predictor.items() if key == "containers" or key not in own})
    found = jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    return errors + [f"{_path(error.absolute_path)}: {error.message}" for error in found]


@cache
def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text())
    return schema


def _round_trip(manifest: Manifest, model: Any) -> list[str]:
    read: Callable[[Manifest], Any] = model.from_dict
    try:
        written = read(manifest).to_dict()
    except ValidationError as error:
        return [f"{_path(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
    return list(_dropped(manifest, written, ""))


def _dropped(given: Any, written: Any, path: str) -> Iterator[str]:
    """Where what was read differs from what was given."""
    if isinstance(given, dict) and isinstance(written, dict):
        for key, value in given.items():
            if key not in written:
                yield f"{path}.{key}: unknown field"
            else:
                yield from _dropped(value, written[key], f"{path}.{key}")
    elif isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        for index, (left, right) in enumerate(zip(given, written, strict=True)):
            yield from _dropped(left, right, f"{path}[{index}]")
    elif given != written:
        yield f"{path}: {given!r} is read as {written!r}"


def _pods_in(manifest: Manifest) -> list[str]:
    """The pod templates of a runtime, by Kubernetes' own schema, which knows limits that the models do not."""
    jobs = manifest.get("spec", {}).get("template", {}).get("spec", {}).get("replicatedJobs", [])
    templates = [job.get("template", {}).get("spec", {}).get("template", {}) for job in jobs]
    return [error for template in templates for error in _pod(template.get("spec", {}))]


def _pod(spec: dict[str, Any]) -> list[str]:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inside"}, "spec": spec}
    return schema_errors(pod)


def _path(parts: Any) -> str:
    return "." + ".".join(str(part) for part in parts)
