"""What is in the image, what is not, and what it may do."""

import json
import re

import pytest

from components.ops import CPU_IMAGE
from pipelines.access import Git
from tests.containers.engine import ROOT, docker, in_container

pytestmark = pytest.mark.containers

SIZE_BUDGET = 3.2 * 2**30  # bytes, uncompressed; torch and MLflow with their needs are most of it

# What each step needs to be able to import and to write, in the order of the pipeline.
STEPS = {
    "ingest": "components.ingest.step",
    "fetch-champion": "components.fetch_champion.step",
    "validate": "components.validate.step",
    "decide": "components.decide.step",
    "encode-shard": "components.embed.step",
    "embed": "components.embed.step",
    "train": "components.train.step",
    "evaluate": "components.evaluate.step",
    "gate": "components.gate.step",
    "register": "components.register.step",
    "notify": "components.notify.step",
}

PROBE = """
import importlib, json, os, sys, tempfile
importlib.import_module(sys.argv[1])
def writable(path):
    try:
        with tempfile.TemporaryFile(dir=path):
            return True
    except OSError:
        return False
places = ("/", "/app", "/opt/venv", "/etc", "/tmp", "/scratch", os.environ["HOME"])
print(json.dumps({"uid": os.getuid(), "gid": os.getgid(), "tmp": tempfile.gettempdir(),
    "writable": [path for path in places if writable(path)]}))
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_step_loads_as_an_ordinary_user_on_a_read_only_disk(cpu_image: str, step: str) -> None:
    run = in_container(cpu_image, "python3", "-c", PROBE, STEPS[step])
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found == {"uid": 10001, "gid": 10001, "tmp": "/scratch", "writable": ["/scratch", "/scratch"]}


def test_git_in_the_image_can_use_a_deploy_key(cpu_image: str) -> None:
    """With the variables that an environment's `git: {kind: key}` sets; the host does not exist."""
    access = Git(secret="deploy", kind="key")
    options = [word for name, value in access.variables().items() for word in ("--env", f"{name}={value}")]
    run = in_container(cpu_image, "git", "ls-remote", "ssh://git@git.invalid/data.git", options=options)
    assert "Could not resolve hostname git.invalid" in run.stderr


def test_the_steps_are_those_of_the_pipeline() -> None:
    ops = (ROOT / "components/ops.py").read_text()
    assert len(re.findall(r"^@dsl.component", ops, re.MULTILINE)) == len(STEPS)
    assert CPU_IMAGE == "mmctr-cpu"


def test_there_is_no_compiler_no_installer_and_no_cache(cpu_image: str) -> None:
    unwanted = "gcc g++ cc make ld as pip pip3"
    run = in_container(cpu_image, "sh", "-c", f"for name in {unwanted}; do command -v $name; done; true")
    assert run.stdout == ""
    run = in_container(cpu_image, "sh", "-c", "find / -xdev \\( -name '*.whl' -o -path '*/.cache/*' \\) 2>/dev/null")
    wheels = [path for path in run.stdout.splitlines() if "/ensurepip/" not in path and "python-wheels" not in path]
    assert wheels == []


def test_the_command_line_works(cpu_image: str) -> None:
    run = in_container(cpu_image)
    assert run.returncode == 0, run.stderr
    assert "Keeps a multimodal click-through-rate model fresh" in run.stdout


def test_what_is_installed_is_the_lock_and_the_bill_says_so(cpu_image: str) -> None:
    bill = json.loads(in_container(cpu_image, "cat", "/sbom.cdx.json").stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {
        c["name"]: c["version"].partition("+")[0] for c in bill["components"] if c["purl"].startswith("pkg:pypi/")
    }
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().split())
    normal = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in locked.items()}
    assert {re.sub(r"[-_.]+", "-", name): version for name, version in listed.items() if name != "setuptools"} == {
        name: version for name, version in normal.items() if name != "setuptools"
    }
    assert any(c["purl"].startswith("pkg:deb/debian/git@") for c in bill["components"])


def test_the_image_keeps_to_its_budget_and_names_no_secret(cpu_image: str) -> None:
    (image,) = json.loads(docker("image", "inspect", cpu_image).stdout)
    assert image["Size"] <= SIZE_BUDGET
    assert image["Config"]["User"] == "10001:10001"
    assert not re.search(r"(?i)(token|password|secret|index.url)", " ".join(image["Config"]["Env"]))


def test_only_the_source_is_rebuilt_when_the_source_changes(cpu_image: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", cpu_image).stdout.splitlines()
    source = next(i for i, line in enumerate(history) if "COPY dir" in line and "/app/model" in line)
    packages = next(i for i, line in enumerate(history) if "COPY dir" in line and "/opt/venv" in line)
    assert source < packages, "newest first: the source must lie above the packages"
