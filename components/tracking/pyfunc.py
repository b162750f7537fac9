"""A model package as an MLflow model: what its input looks like, what it needs, how it is uploaded once."""

import logging
import warnings
from contextlib import suppress
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from components.dataset.item_ids import read_item_ids
from components.dataset.layout import HISTORY, ITEM
from components.schema.encoder import Encoder, FittedFeature, ItemIds
from components.schema.fitted import read_features
from components.storage.files import sha256_file
from components.tracking.runs import TrackedRun
from components.tracking.server import NotThereError, RegistryRefusedError

SERVING_MODEL = Path(__file__).with_name("serving_model.py")
KEY = "mmctr.key"  # what was registered: the same key is the same candidate
_NEEDS = ("mlflow", "torch", "numpy", "pandas")  # imported by serving_model.py


def requirements() -> list[str]:
    """Pinned as they are here; a local build such as 2.13.0+cpu is named by its public version."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in _NEEDS]


def write_model(package: Path, out: Path, model_id: str | None = None, run_id: str | None = None) -> None:
    """Writes the folder that `mlflow.pyfunc.load_model` and `mlflow models serve` read."""
    features = read_features(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns about its own type hints and its own use of pandas
        from mlflow.models import Model
        from mlflow.pyfunc import save_model

        logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)  # "Validating input example..."
        save_model(
            out,
            python_model=str(SERVING_MODEL),
            artifacts={"package": str(package)},
            signature=_signature(features),
            input_example=input_example(features, read_item_ids(package)),
            model_config={"sha256": {path.name: sha256_file(path) for path in sorted(package.iterdir())}},
            pip_requirements=requirements(),
            mlflow_model=Model(model_id=model_id, run_id=run_id),
        )


def load_model(folder: Path) -> Any:
    """Loads the written folder as serving loads it."""
    from mlflow.pyfunc import load_model as load

    return load(str(folder))


def scored_example(folder: Path) -> tuple[Any, Any]:
    """The example rows of a written model, and the probabilities that its own program gives them."""
    model = load_model(folder)
    example = model.metadata.load_input_example(str(folder))
    return example, model.predict(example)["probability"].to_numpy()


def upload(run: TrackedRun, name: str, package: Path, key: str, scratch: Path) -> tuple[str, str]:
    """Uploads the package as a logged model of `run`; returns its id and its address.

    `scratch` holds the files afterwards, as they were uploaded.
    """
    server = run.server
    made = server.call("create_logged_model", run.experiment_id, name, run.run_id, {KEY: key})
    write_model(package, scratch, made.model_id, run.run_id)
    server.call("log_model_artifacts", made.model_id, str(scratch))
    server.call("finalize_logged_model", made.model_id, "READY")
    return made.model_id, made.artifact_location


def delete_others(run: TrackedRun, key: str, source: str) -> None:
    """Deletes what was uploaded under a key beside the registered `source`: a killed run left it, or a slower one."""
    try:
        found = run.server.call("search_logged_models", [run.experiment_id], f"tags.`{KEY}` = '{key}'")
    except NotThereError:
        return
    others = [model for model in found if model.artifact_location != source]
    if len(others) < len(found):  # otherwise the registered one was not recognised
        for other in others:
            with suppress(NotThereError, RegistryRefusedError):  # or left to those who may delete
                run.server.call("delete_logged_model", other.model_id)


def input_example(features: Encoder, ids: ItemIds) -> Any:
    import pandas as pd

    return pd.DataFrame(example_columns(features, ids))


def example_columns(features: Encoder, ids: ItemIds) -> dict[str, list[Any]]:
    """Two rows: a user with a history and one without, with items and values that the version knows."""
    columns = {feature.name: [_example(feature, place) for place in (0, 1)] for feature in features.row}
    columns |= {feature.name: [[_example(feature, place) for place in (0, 1, 0)], []] for feature in features.event}
    own = [*islice(ids.number or (), 3)]
    first, second, third = (own[place % len(own)] if own else 1 + place for place in range(3))
    return {HISTORY: [[third, first, second], []], ITEM: [first, second], **columns}


def _example(feature: FittedFeature, place: int) -> Any:
    if feature.levels:
        return (4, 0)[place]
    if feature.kind == "vector":
        return list(feature.centre)
    if feature.kind == "number":
        return feature.edges[place] if len(feature.edges) > place else feature.mean
    value = feature.values[place] if len(feature.values) > place else "none"
    return [value] if feature.kind == "categories" else value


def _signature(features: Encoder) -> Any:
    """Inputs of any type, because MLflow would turn 5.5 into the whole number 5. The model checks each value itself."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema

    names = (feature.name for feature in (*features.row, *features.event))
    rows = [ColSpec(AnyType(), name) for name in (HISTORY, ITEM, *names)]
    scores = [ColSpec(DataType.double, "probability"), ColSpec(DataType.boolean, "known_item")]
    return ModelSignature(inputs=Schema(rows), outputs=Schema(scores))
