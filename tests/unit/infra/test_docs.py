"""Commands in the documents: blocks marked `sh` are executed, the others name only commands and files that exist."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pipelines.cli import app
from pipelines.environment import load_environment
from tests.services.kfp_api import kfp_api

ROOT = Path(__file__).parents[3]
PAGES = (
    "docs/tutorial/first-hour.md",
    *(f"docs/how-to/{name}.md" for name in ("kubeflow", "schedules", "recover")),
    "docs/explanation/costs.md",
)
# Here the commands are checked for what they name; the tests of each room execute them.
ROOMS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/how-to/own-data.md",
    "docs/how-to/review.md",
    "docs/how-to/serve.md",
    "docs/how-to/canary.md",
    "docs/explanation/embeddings.md",
    "docs/explanation/evaluation.md",
)
# What these do is executed by other tests.
ELSEWHERE = {
    "make run": "tests/integration",
    "make services": "tests/integration/test_infra_services.py",
    "make check-infra": "tests/unit/infra/test_manifests.py",
    "make test-containers": "tests/containers",
}


def commands(page: str, mark: str) -> list[str]:
    text = (ROOT / page).read_text()
    blocks = re.findall(rf"^```{mark}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


EXECUTED = [(page, line) for page in PAGES for line in commands(page, "sh")]
NOT_EXECUTED = [
    (page, line) for page in PAGES for mark in ("sh cluster", "sh elsewhere") for line in commands(page, mark)
] + [(page, line) for page in ROOMS for line in commands(page, r"sh[^\n]*")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A checkout with digests, whose environments are a server of the test, and `mmctr` on the path."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "infra", folder / "infra")
    (folder / "bin").mkdir()
    program = f"#!{sys.executable}\nfrom pipelines.cli import main\nmain()\n"
    (folder / "bin/mmctr").write_text(program)
    (folder / "bin/mmctr").chmod(0o755)
    (folder / "dist").mkdir()
    digests = {kind: f"registry.example.com/{kind}@sha256:{'a' * 64}" for kind in ("cpu", "gpu")}
    (folder / "dist/images.json").write_text(json.dumps(digests))
    with kfp_api() as (address, state):
        state.script = ["PENDING", "SUCCEEDED"]
        for path in (folder / "infra/environments").glob("*.yaml"):
            environment = yaml.safe_load(path.read_text())
            environment["service"]["host"] = address
            path.write_text(yaml.safe_dump(environment))
        search = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        yield folder, {**os.environ, "PATH": search, "HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.integration
def test_the_commands_work_in_the_order_they_stand(checkout: tuple[Path, dict[str, str]]) -> None:
    folder, environment = checkout
    for page, line in EXECUTED:
        if line in ELSEWHERE:
            continue
        run = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{page}: {line}\n{run.stdout}{run.stderr}"


def subcommand(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"mmctr has no command {name!r}"
        command = command.commands[name]
    return command, words


@pytest.mark.parametrize(("page", "line"), NOT_EXECUTED, ids=[f"{p}-{n}" for n, (p, _) in enumerate(NOT_EXECUTED)])
def test_what_is_not_executed_names_only_what_is_there(page: str, line: str) -> None:
    words = [word for word in shlex.split(line, comments=True) if not re.match(r"^\w+=", word)]
    for word in words:
        if re.match(r"^(infra|docs|requirements)[\w./-]+$", word):
            assert (ROOT / word).exists(), f"{page} names {word}"
    if words[0] == "make":
        assert f"\n{words[1]}: " in (ROOT / "Makefile").read_text()
    if words[0] == "mmctr":
        command, given = subcommand(words[1:])
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in given if word.startswith("--")} <= options, line


def test_what_other_tests_execute_is_there() -> None:
    for command, place in ELSEWHERE.items():
        assert f"\n{command.split()[1]}: " in (ROOT / "Makefile").read_text()
        assert (ROOT / place).exists()


def test_every_block_of_commands_says_whether_it_is_executed() -> None:
    for page in PAGES:
        marks = re.findall(r"^```(\S[^\n]*)$", (ROOT / page).read_text(), re.MULTILINE)
        assert set(marks) <= {"sh", "sh cluster", "sh elsewhere", "yaml", "ini"}, page


def test_a_store_of_ones_own_is_given_to_kubeflow_as_its_launcher_reads_it() -> None:
    """Kubeflow Pipelines 2.17.0: backend/src/v2/config/s3.go:25-50 for the fields, and 130-148 for what is left out;
    backend/src/v2/objectstore/object_store.go:335-360 makes the endpoint's scheme of disableSSL."""
    page = (ROOT / "docs/how-to/kubeflow.md").read_text().partition("### Where artifacts go")[2]
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page.partition("## 5.")[0], re.MULTILINE | re.DOTALL)
    data = yaml.safe_load(block)["data"]
    assert set(data) == {"defaultPipelineRoot", "providers"}
    default = yaml.safe_load(data["providers"])["s3"]["default"]
    assert set(default) <= {"endpoint", "disableSSL", "region", "forcePathStyle", "maxRetries", "credentials"}
    environment = load_environment("dev", ROOT / "infra/environments")
    address = {variable.name: variable.value for variable in environment.variables}["AWS_ENDPOINT_URL_S3"]
    assert address == f"{'http' if default['disableSSL'] else 'https'}://{default['endpoint']}"
    assert default["credentials"] == {"fromEnv": True}
    given = {secret.variable for secret in environment.secrets}
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= given


def test_the_table_of_costs_is_the_environment() -> None:
    rows = [
        f"| {', '.join(group.steps)} | {group.cpu} | {group.memory} | {group.gpus} | {group.timeout_minutes} "
        f"| {group.retries + 1} |"
        for group in load_environment("prod", ROOT / "infra/environments").resources
    ]
    text = " ".join((ROOT / "docs/explanation/costs.md").read_text().split())
    for row in rows:
        assert row in text
    assert f"`run_timeout_hours`, {load_environment('prod', ROOT / 'infra/environments').run_timeout_hours}." in text
    runtime = next(yaml.safe_load_all((ROOT / "infra/k8s/cluster/training.yaml").read_text()))
    job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    asked = job["containers"][0]["resources"]["requests"]
    assert f"uses {asked['cpu']} CPUs, {asked['memory']} and one GPU" in text
    assert asked["nvidia.com/gpu"] == "1"
