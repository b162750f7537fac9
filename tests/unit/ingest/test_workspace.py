"""A checkout whose data is not that of its commit: what is said about each kind and number of changes."""

from pathlib import Path

import pytest

from components.errors import StepError
from components.ingest.manifest import ListedFile, md5_file
from components.ingest.workspace import refuse_changed_data, refuse_uncommitted_pointer
from tests.unit.ingest.conftest import git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / ".dvc").mkdir()
    for name in ("data.dvc", ".dvc/config"):
        (tmp_path / name).write_text(name)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "made")
    return tmp_path


def fill(checkout: Path, *names: str) -> list[ListedFile]:
    (checkout / "data" / "item_images").mkdir(parents=True)
    for name in names:
        (checkout / "data" / name).write_text(name)
    return [ListedFile(name, md5_file(checkout / "data" / name)) for name in names]


def test_the_data_of_the_commit_and_no_data_at_all_are_fine(checkout: Path) -> None:
    refuse_changed_data(checkout, [ListedFile("train.parquet", "a" * 32)])
    refuse_changed_data(checkout, fill(checkout, "train.parquet", "item_images/1.jpg"))


def test_an_empty_folder_is_no_data(checkout: Path) -> None:
    (checkout / "data").mkdir()
    refuse_changed_data(checkout, [ListedFile("train.parquet", "a" * 32)])


@pytest.mark.parametrize(
    ("removed", "added", "shown"),
    [
        (["a"], [], "a is gone"),
        ([], ["item_images/9.jpg"], "item_images/9.jpg is new"),
        (["a"], ["x", "y"], "a is gone, x is new, y is new"),
        (["a", "b"], ["x", "y"], "a is gone, b is gone, x is new and 1 more"),
        (["a", "b", "c"], ["x", "y"], "a is gone, b is gone, c is gone and 2 more"),
    ],
)
def test_three_changes_are_named_and_the_others_counted(
    checkout: Path, removed: list[str], added: list[str], shown: str
) -> None:
    entries = fill(checkout, "a", "b", "c", "d")
    for name in removed:
        (checkout / "data" / name).unlink()
    for name in added:
        (checkout / "data" / name).write_text("new")
    with pytest.raises(StepError, match=rf"^data/ is not what data\.dvc names: {shown}\. Keep it with"):
        refuse_changed_data(checkout, entries)


def test_another_content_under_the_same_name_is_a_change(checkout: Path) -> None:
    entries = fill(checkout, "a")
    (checkout / "data" / "a").write_text("other")
    with pytest.raises(StepError, match="names: a is changed"):
        refuse_changed_data(checkout, entries)


def test_a_committed_pointer_is_fine_whatever_else_changed(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("x")
    refuse_uncommitted_pointer(checkout)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["data.dvc"], r"data.dvc is not committed: keep it .*undo it with git checkout HEAD -- data.dvc$"),
        (
            [".dvc/config", "data.dvc"],
            r".dvc/config and data.dvc are not committed: keep it with git add .dvc/config data.dvc and git commit, ",
        ),
    ],
)
def test_a_changed_pointer_is_named_with_both_ways_out(checkout: Path, changed: list[str], said: str) -> None:
    for name in changed:
        (checkout / name).write_text("other")
    with pytest.raises(StepError, match=said):
        refuse_uncommitted_pointer(checkout)


def test_a_pointer_that_was_never_committed_is_undone_by_removing_it(checkout: Path) -> None:
    git(checkout, "rm", "-q", "--cached", "data.dvc")
    git(checkout, "commit", "-qm", "without")
    with pytest.raises(StepError, match=r"or undo it with rm data.dvc$"):
        refuse_uncommitted_pointer(checkout)


def test_other_files_may_be_asked_about(checkout: Path) -> None:
    (checkout / "data.dvc").write_text("other")
    refuse_uncommitted_pointer(checkout, ".dvc/config")
    with pytest.raises(StepError, match=r"^data.dvc is not committed"):
        refuse_uncommitted_pointer(checkout, "data.dvc", ".dvc/config")
