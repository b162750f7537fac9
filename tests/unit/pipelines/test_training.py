from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler

from pipelines.picture import columns_of, draw, nodes_of
from pipelines.training import training_pipeline

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(training_pipeline, str(path))
    loaded: dict[str, Any] = next(iter(yaml.safe_load_all(path.read_text())))
    return loaded


def test_the_steps_come_in_the_order_of_the_design(spec: dict[str, Any]) -> None:
    columns = columns_of(nodes_of(spec))
    steps = [
        "ingest",
        "fetch-champion",
        "validate",
        "decide",
        "encode-shard",
        "embed",
        "train",
        "evaluate",
        "gate",
        "register",
    ]
    assert [columns[name] for name in steps] == list(range(len(steps)))


def test_registration_waits_for_the_gate_and_notify_runs_whatever_happens(spec: dict[str, Any]) -> None:
    kinds = {node.name: node.kind for node in nodes_of(spec)}
    assert kinds.pop("register") == "guarded"
    assert kinds.pop("notify") == "exit"
    assert kinds.pop("encode-shard") == "many"
    assert set(kinds.values()) == {"step", "chosen"}


def test_the_expensive_steps_wait_for_the_decision_to_train(spec: dict[str, Any]) -> None:
    (stale,) = (c["dag"]["tasks"] for c in spec["components"].values() if "embed" in c.get("dag", {}).get("tasks", {}))
    assert {"embed", "train", "evaluate", "gate"} <= set(stale)
    assert not {"ingest", "fetch-champion", "validate", "decide"} & set(stale)


def test_no_step_installs_packages_while_it_runs(spec: dict[str, Any]) -> None:
    assert "pip install" not in yaml.safe_dump(spec)


def test_the_picture_in_the_docs_is_the_pipeline(spec: dict[str, Any]) -> None:
    assert (ROOT / "docs/images/pipeline.svg").read_text() == draw(nodes_of(spec)), "run: make picture"
