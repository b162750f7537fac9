"""The commands as a person types them, against a server that enforces the published API."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from components.errors import StepError
from pipelines.cli import app
from tests.services.kfp_api import kfp_api
from tests.services.kfp_state import KfpState

ROOT = Path(__file__).parents[4]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpState]:
    """A folder as a checkout has it, whose environment `dev` is a server of the test."""
    with kfp_api() as (address, state):
        environment = yaml.safe_load((ROOT / "infra/environments/dev.yaml").read_text())
        environment["service"]["host"] = address
        folder = tmp_path / "infra/environments"
        folder.mkdir(parents=True)
        (folder / "dev.yaml").write_text(yaml.safe_dump(environment))
        digests = {kind: f"registry.example.com/{kind}@sha256:{'a' * 64}" for kind in ("cpu", "gpu")}
        (tmp_path / "images.json").write_text(json.dumps(digests))
        schedule = {"name": "nightly", "environment": "dev", "cron": "0 0 3 * * *", "preset": "sample"}
        (tmp_path / "nightly.yaml").write_text(yaml.safe_dump(schedule))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr("pipelines.submit.time.sleep", lambda _: None)
        yield state


def type_in(line: str, status: int = 0) -> str:
    result: Result = CliRunner().invoke(app, line.split())
    assert result.exit_code == status, result.output
    return result.output


def test_compile_writes_the_file_whole(cluster: KfpState) -> None:
    assert "the bare pipeline" in type_in("compile -o bare.yaml")
    assert "the pipeline for dev" in type_in("compile --env dev --images images.json -o dev.yaml")
    assert len(list(yaml.safe_load_all(Path("dev.yaml").read_text()))) == 2
    assert Path("bare.yaml").read_text() == (ROOT / "tests/golden/pipeline.yaml").read_text()
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("compile --env dev", StepError, "all-zero digest: run `make images`"),
        ("compile --env qa", StepError, "no environment 'qa'"),
        ("compile --images images.json", ValueError, "--images needs --env"),
        ("submit --preset fast", ValueError, "preset"),
        ("submit --set train.colour=1 --images images.json", ValueError, "no such field"),
        ("schedule pause weekly", StepError, "no schedule 'weekly' in kubeflow; there: none"),
    ],
)
def test_wrong_use_is_said(cluster: KfpState, line: str, error: type[Exception], message: str) -> None:
    result = CliRunner().invoke(app, line.split())
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert cluster.runs == {}


def test_submit_follows_the_run_to_its_end(cluster: KfpState) -> None:
    told = type_in("submit --env dev --images images.json --name one --wait")
    (run,) = cluster.runs.values()
    assert (
        f"run one (started): http://127.0.0.1:{told.split('127.0.0.1:')[1][:5]}/#/runs/details/{run['run_id']}" in told
    )
    assert [line.split()[-1] for line in told.splitlines() if line.count("  ") and " run " in f"{line} "][
        -1
    ] == "succeeded"
    assert "run one (there already)" in type_in("submit --env dev --images images.json --name one")


def test_submit_ends_as_the_run_ends(cluster: KfpState) -> None:
    cluster.script = ["PENDING", "RUNNING", "FAILED"]
    told = type_in("submit --env dev --images images.json --wait", status=1)
    assert "the run ended FAILED: ingest: the data is not there" in told


def test_without_a_name_every_submission_is_a_run(cluster: KfpState) -> None:
    for _ in range(2):
        type_in("submit --env dev --images images.json")
    assert len(cluster.runs) == 2
    assert len(cluster.versions) == 1


def test_a_schedule_from_its_birth_to_its_end(cluster: KfpState) -> None:
    assert "nightly: at 03:00:00 UTC every day (dev, preset sample); next" in type_in("schedule explain nightly.yaml")
    assert cluster.requests == []
    assert "not on the cluster" in type_in("schedule diff nightly.yaml --images images.json", status=1)
    assert "no schedules of mmctr" in type_in("schedule list")
    assert {request.split()[0] for request in cluster.requests} == {"GET"}, "looking changes nothing"
    assert "nightly: made anew" in type_in("schedule apply nightly.yaml --images images.json")
    assert "nightly: as it should be" in type_in("schedule apply nightly.yaml --images images.json")
    assert "as it should be" in type_in("schedule diff nightly.yaml --images images.json")
    assert "at 03:00:00 UTC every day; next" in type_in("schedule list")
    Path("new.json").write_text(Path("images.json").read_text().replace("aaaa", "bbbb"))
    assert "not uploaded yet" in type_in("schedule diff nightly.yaml --images new.json", status=1)
    type_in("schedule pause nightly")
    assert "paused (at 03:00:00 UTC every day)" in type_in("schedule list")
    assert "paused by hand" in type_in("schedule apply nightly.yaml --images images.json")
    type_in("schedule resume nightly")
    type_in("schedule delete nightly")
    assert cluster.schedules == {}
    assert "no schedules of mmctr" in type_in("schedule list")


def test_prune_deletes_what_no_file_names(cluster: KfpState) -> None:
    weekly = Path("nightly.yaml").read_text().replace("nightly", "weekly")
    Path("weekly.yaml").write_text(weekly)
    type_in("schedule apply nightly.yaml weekly.yaml --images images.json")
    assert len(cluster.schedules) == 2
    assert "weekly: deleted" in type_in("schedule apply nightly.yaml --images images.json --prune")
    assert [schedule["display_name"] for schedule in cluster.schedules.values()] == ["nightly"]
