"""What a cell measures, what makes two cells the same, and which train rows `--rows` keeps."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.batches.rows import RowStore
from components.statistics.auc import auc
from pipelines.presets import preset
from studies.cell import cell_key
from studies.inputs import Inputs, with_fewer_rows
from studies.measure import history_bins, measured, sliced
from tests.tiny_training import write_rows

BASE = preset("study")
INPUTS = Inputs("key", "code", "d", "v", "e", "t", "m", "test", "", {}, {})


def test_histories_are_binned_by_their_real_length() -> None:
    lengths = np.array([0, 1, 4, 5, 9, 10, 19, 20, 49, 50, 100])
    bins = history_bins(lengths)
    assert list(bins) == ["0", "1-4", "5-9", "10-19", "20-49", "50+"]
    assert np.array(list(bins.values())).sum(0).tolist() == [1] * len(lengths)
    assert lengths[bins["1-4"]].tolist() == [1, 4]
    assert lengths[bins["50+"]].tolist() == [50, 100]


def test_a_slice_that_is_small_or_of_one_class_has_a_size_and_no_auc() -> None:
    labels, scores = np.arange(300) % 2, np.linspace(0, 1, 300)
    parts = np.arange(300)
    masks = {"none": parts < 0, "small": parts < 49, "enough": parts < 50, "clicks": labels == 1}
    found = sliced(labels, scores, masks)
    assert [(part["name"], part["rows"], part["auc"] is None) for part in found] == [
        ("small", 49, True),
        ("enough", 50, False),
        ("clicks", 150, True),
    ]
    assert found[1]["auc"] == auc(labels[:50], scores[:50])


def test_items_are_told_apart_by_how_often_train_shows_them(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", 400)
    rows = RowStore.build(tmp_path / "rows.parquet", tmp_path / "cache")
    train_items = np.concatenate([np.full(9, 1), np.full(10, 2), [3]])
    found = measured(np.linspace(0, 1, 400), rows, train_items)
    by_name = {part["name"]: part["rows"] for part in found["slices"]["items"]}
    items = rows.item
    assert by_name == {
        "unseen": int((items > 3).sum()),
        "rare (1-9)": int(np.isin(items, [1, 3]).sum()),
        "known": int((items == 2).sum()),
    }
    assert found["auc"] == auc(rows.label, np.linspace(0, 1, 400))
    assert found["grouped_auc"] is None, "every user of these rows has one row"


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({"checkpoint_minutes": 1.0, "launcher": "torchrun"}, True, id="how-it-runs"),
        pytest.param({"seed": 2}, False, id="seed"),
        pytest.param({"max_epochs": 9}, False, id="budget"),
    ],
)
def test_a_cell_is_named_by_what_decides_its_figures(changes: dict[str, Any], same: bool) -> None:
    other = replace(BASE, preset="another", train=replace(BASE.train, **changes))
    assert (cell_key(INPUTS, BASE, False) == cell_key(INPUTS, other, False)) is same


@pytest.mark.parametrize("field", ["key", "code"])
def test_other_data_or_other_code_make_another_cell(field: str) -> None:
    assert cell_key(INPUTS, BASE, False) != cell_key(Inputs(**{**vars(INPUTS), field: "other"}), BASE, False)
    assert cell_key(INPUTS, BASE, False) == cell_key(replace(INPUTS, dataset="moved"), BASE, False)


def test_another_torch_makes_another_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cell_key(INPUTS, BASE, False)
    monkeypatch.setattr("torch.__version__", "0.0")
    assert cell_key(INPUTS, BASE, False) != before


def test_only_a_study_of_attention_depends_on_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for code in ("before", "after"):
        monkeypatch.setattr(
            "studies.cell.code_key", lambda *names, code=code: code if "studies.attention" in names else "the rest"
        )
        keys.append([cell_key(INPUTS, BASE, attention) for attention in (False, True)])
    (plain, attention), (plain_after, attention_after) = keys
    assert plain == plain_after
    assert attention != attention_after


@pytest.fixture
def grouped(tmp_path: Path) -> tuple[Path, Path]:
    """Train rows as the challenge's: a click, then three rows that were not clicked. Row 5 is in quarantine."""
    write_rows(tmp_path / "train.parquet", 4000)
    table = pq.read_table(tmp_path / "train.parquet")
    table = table.set_column(
        table.schema.get_field_index("label"), "label", pa.array(np.arange(4000) % 4 == 0).cast("int64")
    )
    pq.write_table(table, tmp_path / "train.parquet")
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "quarantine.json").write_text(json.dumps({"train": [5], "valid": [7], "test": []}))
    return tmp_path, tmp_path / "validation"


def test_fewer_rows_are_spread_over_all_and_keep_the_click_rate(grouped: tuple[Path, Path]) -> None:
    fewer, whole = with_fewer_rows(*grouped, 1000)
    left_out = json.loads((fewer / "quarantine.json").read_text())
    assert whole == 3999
    assert left_out["valid"] == [7]
    kept = np.setdiff1d(np.arange(4000), left_out["train"])
    assert len(kept) == 1000
    assert 5 not in kept
    assert np.abs(np.bincount(kept // 400) - 100).max() <= 1
    assert (kept % 4 == 0).mean() == pytest.approx(0.25, abs=0.05), "every fourth row would be all clicks or none"


@pytest.mark.parametrize("wanted", [None, 3999, 10**6])
def test_all_rows_need_no_other_list(grouped: tuple[Path, Path], wanted: int | None) -> None:
    assert with_fewer_rows(*grouped, wanted) == (grouped[1], 3999)
