"""`mmctr data add`, `mmctr data diff` and `mmctr import`: the commands, and that no data is lost by them."""

import dataclasses
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from components.data_versions.compare import compare
from components.data_versions.publish import add_data
from components.dataset.sample import SIZES, SampleSpec, write_sample
from components.errors import StepError
from components.ingest.step import ingest
from components.storage.files import sha256_file
from pipelines.cli.data import data_app, import_app
from tests.unit.dataset.importers.test_movielens import write_source
from tests.unit.ingest.conftest import git

OTHER = SampleSpec(items=50, train_rows=200, valid_rows=40, test_rows=40, seed=2)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    write_sample(tmp_path / "other", OTHER)
    (tmp_path / "other" / "notes.txt").write_text("not ours")
    return tmp_path / "other"


def test_another_folder_becomes_the_data_and_a_revision(repository: Path, other: Path, tmp_path: Path) -> None:
    added = add_data(repository, other, tmp_path / "cache", push=True)
    assert added.md5 in (repository / "data.dvc").read_text()
    assert added.pushed
    assert not (repository / "data" / "notes.txt").exists()
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "three")
    shutil.rmtree(repository / ".dvc" / "cache")
    lineage = ingest(str(repository), "HEAD", tmp_path / "out", tmp_path / "cache")
    assert lineage.data_md5 == added.md5
    assert sha256_file(tmp_path / "out" / "train.parquet") == sha256_file(other / "train.parquet")


def test_the_folder_that_was_added_stays_its_owners(repository: Path, other: Path, tmp_path: Path) -> None:
    add_data(repository, other, tmp_path / "cache")
    (repository / "data" / "truth.json").chmod(0o644)
    (repository / "data" / "truth.json").write_text("changed here")
    assert "changed here" not in (other / "truth.json").read_text()


def test_changes_that_no_commit_holds_are_not_overwritten(repository: Path, other: Path, tmp_path: Path) -> None:
    (repository / "data" / "truth.json").write_text("a day's work")
    with pytest.raises(StepError, match=r"data/ is not what data\.dvc names: truth\.json is changed"):
        add_data(repository, other, tmp_path / "cache")
    assert (repository / "data" / "truth.json").read_text() == "a day's work"
    git(repository, "rm", "-q", "data.dvc")
    with pytest.raises(StepError, match=r"no data\.dvc names it: mmctr data add data first"):
        add_data(repository, other, tmp_path / "cache")


@pytest.mark.parametrize("again", ["data itself", "another folder"])
def test_adding_twice_without_a_commit_is_refused(repository: Path, other: Path, tmp_path: Path, again: str) -> None:
    add_data(repository, other, tmp_path / "cache")
    pointer = (repository / "data.dvc").read_text()
    write_sample(tmp_path / "third", dataclasses.replace(OTHER, seed=3))
    folder = repository / "data" if again == "data itself" else tmp_path / "third"
    with pytest.raises(StepError, match=r"^data\.dvc is not committed: keep it with git add data\.dvc and git commit,"):
        add_data(repository, folder, tmp_path / "cache")
    assert (repository / "data.dvc").read_text() == pointer
    assert sha256_file(repository / "data" / "train.parquet") == sha256_file(other / "train.parquet")
    git(repository, "add", "data.dvc")  # not enough: HEAD still names the data from before
    with pytest.raises(StepError, match=r"^data\.dvc is not committed"):
        add_data(repository, folder, tmp_path / "cache")
    git(repository, "commit", "-qm", "three")
    add_data(repository, folder, tmp_path / "cache")


def test_the_first_data_of_a_repository_needs_no_commit_before(repository: Path, tmp_path: Path) -> None:
    """`dvc remote add` has just changed .dvc/config; what `data add` writes is committed together with it."""
    git(repository, "rm", "-q", "data.dvc")
    git(repository, "commit", "-qm", "no data yet")
    config = repository / ".dvc" / "config"
    config.write_text(config.read_text() + "['remote \"another\"']\n    url = /somewhere\n")
    add_data(repository, repository / "data", tmp_path / "cache")
    with pytest.raises(StepError, match=r"^data\.dvc is not committed: .* or undo it with rm data\.dvc$"):
        add_data(repository, repository / "data", tmp_path / "cache")


def test_a_folder_that_no_training_could_run_on_is_not_added(repository: Path, other: Path, tmp_path: Path) -> None:
    before = sha256_file(repository / "data" / "train.parquet")
    rows = pq.read_table(other / "train.parquet")
    pq.write_table(rows.drop(["likes_level", "views_level"]), other / "train.parquet")
    with pytest.raises(StepError, match=r"train\.parquet lacks the column likes_level"):
        add_data(repository, other, tmp_path / "cache")
    assert sha256_file(repository / "data" / "train.parquet") == before


def test_data_itself_is_added_in_place(repository: Path, tmp_path: Path) -> None:
    before = (repository / "data.dvc").read_text()
    write_sample(repository / "data", dataclasses.replace(OTHER, items=40, seed=1))
    added = add_data(repository, repository / "data", tmp_path / "cache")
    assert added.pushed is None
    assert (repository / "data.dvc").read_text() != before


def test_no_repository_and_no_dvc_are_named(repository: Path, other: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(StepError, match="is not in a git repository"):
        add_data(tmp_path / "plain", other, tmp_path / "cache")
    shutil.rmtree(repository / ".dvc")
    with pytest.raises(StepError, match="not set up for DVC: run dvc init"):
        add_data(repository, other, tmp_path / "cache")


def test_compare_tells_rows_items_label_rate_and_drift(repository: Path, other: Path, tmp_path: Path) -> None:
    add_data(repository, other, tmp_path / "cache")
    git(repository, "commit", "-qam", "three")
    changes = {change.what: change for change in compare(str(repository), "one", "HEAD", tmp_path / "cache")}
    assert (changes["train rows"].before, changes["train rows"].after) == (80, 200)
    assert (changes["train users"].before, changes["train users"].after) == (20, 50)
    assert changes["train label rate"].after == 0.25
    assert (changes["items in item_feature"].before, changes["items in item_feature"].after) == (40, 50)
    assert changes["train items not there before"].distance is not None
    assert 0 < changes["train items not there before"].distance < 1
    assert changes["train history length"].measure == "KS"
    same = {change.what: change for change in compare(str(repository), "two", "two", tmp_path / "cache")}
    assert [change.distance for change in same.values() if change.measure] == [0, 0, 0, 0]


def test_compare_reads_unlabelled_tests(repository: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "other", dataclasses.replace(OTHER, label_test=False))
    add_data(repository, tmp_path / "other", tmp_path / "cache")
    git(repository, "commit", "-qam", "three")
    changes = {change.what: change for change in compare(str(repository), "two", "HEAD", tmp_path / "cache")}
    assert changes["test label rate"].before == 0.25
    assert changes["test label rate"].after is None


def test_the_commands(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    run = CliRunner().invoke
    source = write_source(tmp_path / "movielens")
    imported = run(import_app, ["movielens", str(source), "--out", str(tmp_path / "converted")])
    assert imported.exit_code == 0, imported.output
    assert f"mmctr run --data {tmp_path / 'converted'}" in imported.output.replace("\n", "")
    added = run(data_app, ["add", str(tmp_path / "converted"), "--push"])
    assert added.exit_code == 0, added.output
    assert "objects pushed; now: git add data.dvc && git commit -m 'New data'" in added.output
    git(repository, "commit", "-qam", "three")
    shown = run(data_app, ["diff", "two"])
    assert shown.exit_code == 0, shown.output
    assert "train label rate" in shown.output
    assert "PSI" in shown.output


def test_microlens_exits_1_when_something_is_missing(tmp_path: Path) -> None:
    write_sample(tmp_path, SIZES["tiny"])
    assert CliRunner().invoke(import_app, ["microlens", str(tmp_path)]).exit_code == 0
    (tmp_path / "valid.parquet").unlink()
    done = CliRunner().invoke(import_app, ["microlens", str(tmp_path)])
    assert done.exit_code == 1
    assert "problem: valid.parquet is not there" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["movielens", "/nowhere", "--out", "x"], "/nowhere: no such folder", id="no-source"),
        pytest.param(["movielens", ".", "--out", "x", "--seed", "-1"], "--seed -1: must be at least 0", id="seed"),
        pytest.param(["microlens", "/nowhere"], "/nowhere: no such folder", id="no-release"),
    ],
)
def test_wrong_use_is_a_value_error_which_is_exit_code_2(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(import_app, arguments)
    assert isinstance(done.exception, ValueError)
    assert str(done.exception) == message
