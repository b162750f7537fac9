"""The benchmark of the id optimizers trains with both, and counts the bytes that each keeps."""

from pathlib import Path

import pytest

from benchmarks.id_optimizer import newest_run, trainings
from tests.tiny_training import ITEMS, write_inputs


def test_both_are_trained_from_the_same_seeds_and_their_state_is_counted(tmp_path: Path) -> None:
    found = list(trainings(write_inputs(tmp_path), seeds=2, epochs=1))
    assert [(kind, run["seed"]) for kind, run in found] == [("adam", 1), ("rowwise", 1), ("adam", 2), ("rowwise", 2)]
    (_, adam), (_, rowwise), *_ = found
    assert 4 * ITEMS < rowwise["table_state_bytes"] < 4 * (ITEMS + 10), "one float an item and a tag"
    saved = adam["table_state_bytes"] - rowwise["table_state_bytes"]
    assert saved > 0
    assert adam["state_bytes"] - rowwise["state_bytes"] == saved, "all other weights keep what they kept"
    assert all(0 <= run["test_auc"] <= 1 for _, run in found)


def test_the_newest_run_of_a_workspace_is_taken(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no run with embeddings; make one with mmctr run"):
        newest_run(tmp_path)
    for run in ("2026-11-27-1", "2026-11-28-1"):
        (tmp_path / "runs" / run / "steps" / "a" / "embed" / "embeddings").mkdir(parents=True)
    made = newest_run(tmp_path)
    steps = tmp_path / "runs" / "2026-11-28-1" / "steps" / "a"
    assert made.dataset == steps / "ingest" / "dataset"
    assert (made.validation, made.embeddings) == (steps / "validate" / "validation", steps / "embed" / "embeddings")
