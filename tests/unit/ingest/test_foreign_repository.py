"""A repository that somebody else wrote may name data, and must not get a program run on this machine."""

import os
import shutil
from pathlib import Path

import pytest

from components.errors import StepError
from components.ingest.step import ingest
from tests.unit.ingest.conftest import IMPATIENT, git

S3 = "url = s3://bucket/data\n    endpointurl = http://127.0.0.1:1\n    "
CONFIGS = {
    "configpath": S3 + "configpath = {aws}",
    "credentialpath": S3 + "credentialpath = {aws}",
    "written otherwise": S3 + "ConfigPath = {aws}",
    "bearer_token_command": "url = webdavs://127.0.0.1:1/data\n    bearer_token_command = touch {ran}",
}


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("place", ["checkout", "clone"])
def test_the_config_of_a_revision_runs_no_program(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())  # DVC hands these files on through the environment
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    ran, aws = tmp_path / "ran", tmp_path / "aws"
    aws.write_text(f"[default]\ncredential_process = touch {ran}\n")
    text = CONFIGS[kind].format(aws=aws, ran=ran)
    (repository / ".dvc" / "config").write_text(f"[core]\n    remote = theirs\n['remote \"theirs\"']\n    {text}\n")
    git(repository, "commit", "-qam", "a config that runs a program")
    where = str(repository) if place == "checkout" else f"file://{repository}"
    with pytest.raises(StepError) as raised:
        ingest(where, "main", tmp_path / "out", tmp_path / "cache", patience=IMPATIENT)
    assert not ran.exists(), "a revision ran a program"
    key = "configpath" if kind == "written otherwise" else kind
    assert str(raised.value) == (
        f"the revision's .dvc/config sets remote.theirs.{key}, which can run programs on this machine: "
        f"if you trust it, set it in your own .dvc/config.local (dvc remote modify --local theirs {key} "
        "VALUE), and take it out of the revision's"
    )


def test_the_machines_own_config_may_name_such_files(repository: Path, tmp_path: Path) -> None:
    local = (
        "['remote \"inside\"']\n    verify = true\n['remote \"mine\"']\n    url = s3://b/x\n    configpath = /mine\n"
    )
    (repository / ".dvc" / "config.local").write_text(local)
    ingest(str(repository), "main", tmp_path / "out", tmp_path / "cache")


@pytest.mark.parametrize(
    "url", ["--upload-pack=touch ran:", "--upload-pack=touch ran://x", "ext::touch ran", "-oProxyCommand=touch ran:x"]
)
def test_a_repositorys_name_is_no_option_and_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    said, real = tmp_path / "arguments", shutil.which("git")
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nfor one in "$@"; do echo "$one" >> {said}; done\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StepError, match=r"can't be cloned: .*; check the address") as raised:
        ingest(url, "HEAD", tmp_path / "out", tmp_path / "cache")
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("ran*")), "the name of a repository ran a program"
    arguments = said.read_text().splitlines()
    before = arguments[: arguments.index(url)]
    assert before[-1] == "--", "git must not take the name for an option"
