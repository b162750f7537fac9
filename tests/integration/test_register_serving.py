"""The registered version, served where this project does not exist, from a real server with its artifacts on S3."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.tracking.models import Models
from components.tracking.pyfunc import requirements
from components.tracking.server import connect
from tests.services.candidate import ITEMS, make_candidate, tiny_ranker
from tests.services.mlflow import MlflowServer, end_group, free_port, wait_until_healthy

pytestmark = pytest.mark.integration

ROWS: dict[str, list[Any]] = {
    "item_seq": [[3, 1, 2], [], [7] * 30, [5, ITEMS + 3, 9, 0]],  # known, empty, longer than read, one unknown
    "item_id": [1, 2, 3, 4],
    "likes_level": [4, 0, 10, 1],
    "views_level": [7, 0, 10, 2],
}
# Where only what the pinned requirements bring can be imported; of this project nothing.
CLEAN = """
import importlib.machinery, importlib.metadata, json, sys

uri, model, rows, allowed = sys.argv[1:]
plain = lambda name: name.lower().replace("_", "-").replace(".", "-")
allowed = set(json.loads(allowed))
owners = importlib.metadata.packages_distributions()
hidden = {module for module, names in owners.items() if allowed and not allowed & set(map(plain, names))}
hidden |= {"model", "components", "pipelines", "mmctr"}

class Visible(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)
sys.meta_path = [*sys.meta_path[:2], Visible]  # Python's own modules, and what may be seen

import mlflow, pandas
mlflow.set_tracking_uri(uri)
scores = mlflow.pyfunc.load_model(model).predict(pandas.DataFrame(json.loads(rows)))
print("ANSWER", json.dumps({"hidden": len(hidden), **scores.to_dict("list")}))
"""


@pytest.fixture(scope="module")
def registered(mlflow_on_postgres: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_on_postgres.uri)
        made = make_candidate(folder / "candidate", name="served").register("serving", folder / "registration")
    models = Models(connect(mlflow_on_postgres.uri), "served")
    models.set_alias("champion", int(made["version"]))
    return models


def expected() -> list[float]:
    """What the training code says of ROWS: the unknown item and the padding left out of the last history."""
    history = torch.tensor([[0] * 27 + [3, 1, 2], [0] * 30, [7] * 30, [0] * 28 + [5, 9]])
    item, codes = torch.tensor(ROWS["item_id"]), torch.tensor([ROWS["likes_level"], ROWS["views_level"]]).T
    with torch.no_grad():
        scores: list[float] = torch.sigmoid(tiny_ranker()(history, item, codes, torch.zeros(len(item), 0))).tolist()
    return scores


def in_clean_process(python: str, models: Models, cwd: Path, allowed: set[str]) -> dict[str, Any]:
    visible = json.dumps(sorted(allowed))
    command = [python, "-I", "-c", CLEAN, models.server.uri, "models:/served@champion", json.dumps(ROWS), visible]
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.split("ANSWER ")[1])
    return answer


def closure(wanted: list[str]) -> set[str]:
    """The distributions that installing `wanted` brings, as this environment's metadata tells."""
    from importlib.metadata import PackageNotFoundError, distribution

    from packaging.requirements import Requirement

    found: set[str] = set()
    pending = [Requirement(text) for text in wanted]
    while pending:
        requirement = pending.pop()
        name = requirement.name.lower().replace("_", "-").replace(".", "-")
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            needs = distribution(requirement.name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        pending += map(Requirement, needs)
    return found


def test_with_its_requirements_alone_it_scores_as_training_does(registered: Models, tmp_path: Path) -> None:
    answer = in_clean_process(sys.executable, registered, tmp_path, closure(requirements()))
    assert answer["hidden"] > 20  # much of this environment is out of sight
    assert answer["probability"] == pytest.approx(expected(), abs=1e-6)
    assert answer["known_item"] == [True] * 4


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        decoded: dict[str, Any] = json.loads(answer.read())
    return decoded


def test_mlflow_models_serve_answers_raw_rows(registered: Models, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "serve.log"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        "models:/served@champion",
        "--env-manager",
        "local",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts `uvicorn` by that name
    environment = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": registered.server.uri}
    environment.pop("PYTHONPATH", None)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_healthy(f"{address}/health", process, log)
        url, records = (
            f"{address}/invocations",
            [dict(zip(ROWS, r, strict=True)) for r in zip(*ROWS.values(), strict=True)],
        )
        answer = post(url, {"dataframe_records": records})
        assert [row["probability"] for row in answer["predictions"]] == pytest.approx(expected(), abs=1e-6)
        answer = post(url, {"dataframe_records": [{**records[0], "item_id": ITEMS + 5}]})
        assert answer["predictions"][0]["known_item"] is False
        for column, value, words in WRONG:
            for rows in ([records[0], {**records[1], column: value}], [{**records[0], column: value}, records[1]]):
                said = refusal(url, {"dataframe_records": rows})
                assert re.search(words, said), (column, value, said)
        said = refusal(url, {"dataframe_records": [{k: v for k, v in records[0].items() if k != "likes_level"}]})
        assert "likes_level" in said
    finally:
        end_group(process)


IDS, LEVELS = "must be a whole number from 1 to 9223372036854775807", "must be a whole number from 0 to 10"
WRONG: list[tuple[str, Any, str]] = [
    ("item_id", 0, rf"item_id, row \d: 0; {IDS}"),
    ("item_id", -3, rf"item_id, row \d: -3; {IDS}"),
    ("item_id", 5.5, rf"item_id, row \d: 5\.5; {IDS}"),
    ("item_id", 2**63, rf"item_id, row \d: 9\.?223372036854775808(e\+18)?; {IDS}"),
    ("item_id", 2**64 + 3, rf"item_id, row \d: 18446744073709551619; {IDS}"),
    ("item_id", float("nan"), rf"item_id, row \d: nan; {IDS}"),
    ("item_id", None, rf"item_id, row \d: (nan|None); {IDS}"),
    ("item_id", "7", rf"item_id, row \d: '7'; {IDS}"),
    ("item_id", True, rf"item_id, row \d: True; {IDS}"),
    ("likes_level", 11, rf"likes_level, row \d: 11; {LEVELS}"),
    ("likes_level", -1, rf"likes_level, row \d: -1; {LEVELS}"),
    ("views_level", 99, rf"views_level, row \d: 99; {LEVELS}"),
    ("views_level", 5.5, rf"views_level, row \d: 5\.5; {LEVELS}"),
    ("views_level", "high", rf"views_level, row \d: 'high'; {LEVELS}"),
    ("item_seq", [3, -1], r"item_seq, row \d: -1; must be a whole number from 0 to"),
    ("item_seq", [3, 5.5], r"item_seq, row \d: 5\.5; must be a whole number from 0 to"),
    ("item_seq", [3, 2**63], r"item_seq, row \d: 9223372036854775808; must be a whole number from 0 to"),
    ("item_seq", ["3"], r"item_seq, row \d: '3'; must be a whole number from 0 to"),
    ("item_seq", [[3]], r"item_seq, row \d: \[3\]; must be a whole number from 0 to"),
    ("item_seq", 3, r"item_seq, row \d: 3; must be a list of item ids"),
    ("item_seq", None, r"item_seq, row \d: (nan|None); must be a list of item ids"),
]


def refusal(url: str, body: dict[str, Any]) -> str:
    """What the server says to a request that it refuses, which is never a stack trace."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(url, body)
    said = refused.value.read().decode()
    refused.value.close()
    assert refused.value.code == 400, said
    assert "Traceback" not in said
    assert "stack_trace" not in said
    answer: str = json.loads(said)["message"]
    return answer


@pytest.mark.slow
def test_it_loads_in_an_environment_of_its_own_requirements(registered: Models, tmp_path: Path) -> None:
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(tmp_path / "venv")], check=True, capture_output=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run([*uv, "pip", "install", "--python", python, *requirements()], check=True, capture_output=True)
    answer = in_clean_process(python, registered, tmp_path, set())
    assert answer["probability"] == pytest.approx(expected(), abs=1e-6)


def test_signature_and_example_are_there(registered: Models, tmp_path: Path) -> None:
    address = registered.server.call("get_model_version_download_uri", "served", "1")
    folder = registered.server.download(address, tmp_path)
    described = (folder / "MLmodel").read_text()
    assert "signature:" in described
    assert "saved_input_example_info:" in described
    assert (folder / "requirements.txt").read_text().split() == requirements()
    assert not list(folder.rglob("*.pkl"))
    assert np.isfinite(expected()).all()
