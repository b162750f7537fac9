"""A small repository with two revisions of its data, tagged one and two, and its remote inside."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.dataset.sample import SampleSpec, write_sample
from components.ingest.manifest import md5_file
from components.ingest.objects import Patience
from components.storage import versioning

IMPATIENT = Patience(attempts=2, first_wait=0.01)


def git(folder: Path, *arguments: str) -> str:
    identity = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **identity},
    )
    return done.stdout.strip()


def commit_data(root: Path, spec: SampleSpec, tag: str, ballast: int = 0) -> str:
    """`ballast` bytes of noise come along: an object that takes a while."""
    shutil.rmtree(root / "data", ignore_errors=True)
    write_sample(root / "data", spec)
    if ballast:
        (root / "data" / "ballast.bin").write_bytes(random.Random(0).randbytes(ballast))
    versioning.add(root, root / "data")
    versioning.push(root, root / "data.dvc")
    git(root, "add", "-A")
    git(root, "commit", "-qm", tag)
    git(root, "tag", tag)
    return git(root, "rev-parse", "HEAD")


def train_rows(out: Path) -> int:
    return int(pq.ParquetFile(out / "train.parquet").metadata.num_rows)


def remote_object(root: Path, name: str = "train.parquet") -> Path:
    """The remote's object of a file of revision two."""
    md5 = md5_file(root / "data" / name)
    return root / "store" / "files" / "md5" / md5[:2] / md5[2:]


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "repository"
    (root / ".dvc").mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = inside\n['remote \"inside\"']\n    url = ../store\n"
    )
    (root / ".gitignore").write_text("/data\n/.dvc/cache\n/.dvc/tmp\n")
    spec = SampleSpec(items=40, train_rows=80, valid_rows=40, test_rows=40)
    commit_data(root, spec, "one")
    commit_data(root, SampleSpec(items=40, train_rows=120, valid_rows=40, test_rows=40), "two")
    shutil.rmtree(root / ".dvc" / "cache")
    return root


@pytest.fixture
def repository(_template: Path, tmp_path: Path) -> Path:
    """On tag two, `data/` in place, nothing in DVC's own cache: what ingest gets, it gets from the remote."""
    root = tmp_path / "repository"
    shutil.copytree(_template, root, symlinks=True)
    return root
