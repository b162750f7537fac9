"""How git is asked: never with a question to a person, in one language, and with names that are no options."""

import os
from pathlib import Path

import pytest

from components.errors import StepError
from components.ingest.git import printed, run_git, said
from components.ingest.revision import resolve
from tests.unit.ingest.conftest import git


def test_git_asks_nobody_and_answers_in_one_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "$GIT_TERMINAL_PROMPT $LC_ALL $1 $3"; cat\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run_git(tmp_path, "status").stdout == b"0 C -C status\n", "and it can't read from a terminal"


def test_a_failed_git_says_why_in_its_last_line_and_prints_nothing(repository: Path) -> None:
    assert "\n" not in said(run_git(repository, "show", "nothing"))
    assert printed(repository, "show", "nothing") == ""
    assert said(run_git(repository, "cat-file", "-e", f"{'0' * 40}")) == "git gave no reason"


@pytest.mark.parametrize("revision", ["--since=2020", "--all", "-n1", "--output=stolen"])
def test_a_revision_is_no_option(repository: Path, tmp_path: Path, revision: str) -> None:
    with pytest.raises(StepError, match=f"revision '{revision}' is not in"):
        resolve(str(repository), revision, tmp_path / "cache")


def test_a_branch_of_this_checkout_counts_before_the_one_of_its_origin(repository: Path, tmp_path: Path) -> None:
    one, two = (git(repository, "rev-parse", tag) for tag in ("one", "two"))
    git(repository, "update-ref", "refs/remotes/origin/nightly", one)
    assert resolve(str(repository), "nightly", tmp_path / "cache").commit == one
    git(repository, "branch", "nightly", two)
    assert resolve(str(repository), "nightly", tmp_path / "cache").commit == two
