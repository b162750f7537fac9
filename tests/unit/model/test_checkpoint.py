import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model import checkpoint
from model.checkpoint import CheckpointError
from model.config import ModelConfig
from tests.unit.model.builders import BASE, LEVELS, VARIANTS, VOCABULARY, histories, ranker, targets


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "model.safetensors"
    checkpoint.save(path, ranker(), {"commit": "abc"})
    return path


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_save_and_load_is_bit_identical(config: ModelConfig, tmp_path: Path) -> None:
    model, path, inputs = ranker(config), tmp_path / "ranker.safetensors", (histories([0, 2, 9], 9), *targets(3))
    checkpoint.save(path, model)
    loaded = checkpoint.load(path)
    assert torch.equal(loaded(*inputs), model(*inputs))
    assert loaded.config == config
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_the_file_says_what_it_is(saved: Path) -> None:
    header = checkpoint.read_header(saved)
    assert header.config == BASE
    assert header.vocabulary == VOCABULARY
    assert header.meta == {"commit": "abc"}
    assert header.version == checkpoint.VERSION


def test_a_write_leaves_no_scratch_behind_and_replaces_whole_files(saved: Path) -> None:
    checkpoint.save(saved, ranker(seed=1))
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert torch.equal(checkpoint.load(saved).item_encoder.id.weight, ranker(seed=1).item_encoder.id.weight)


OLDER_NAMES = {
    "item_encoder.features.0.": "item_encoder.tag.",
    "item_encoder.features.1.": "item_encoder.likes.",
    "item_encoder.features.2.": "item_encoder.views.",
    "row.0.": "likes.",
    "row.1.": "views.",
}
FIRST_NAMES = {"table.content_NC": "table.content_ND", "target_attention.": "beside."}


@pytest.mark.parametrize(("version", "changed"), [(1, OLDER_NAMES | FIRST_NAMES), (2, OLDER_NAMES)])
def test_a_file_of_an_earlier_version_still_loads(version: int, changed: dict[str, str], tmp_path: Path) -> None:
    """A champion that was approved before the names changed goes on serving."""
    config = replace(BASE, target_attention="din", item_levels="both")
    model, path = ranker(config), tmp_path / "old.safetensors"
    tensors = {}
    for name, tensor in model.state_dict().items():
        begin = next((new for new in changed if name.startswith(new)), "")
        tensors[changed.get(begin, "") + name.removeprefix(begin)] = tensor
    assert set(changed.values()) == {old for old in changed.values() if any(name.startswith(old) for name in tensors)}
    codes_NX = tensors.pop("table.codes_NX")
    del tensors["table.numbers_NX"]
    tensors |= {"table.tags_NT": codes_NX[:, :3].contiguous()}
    tensors |= {f"table.{name}": codes_NX[:, place].contiguous() for place, name in ((3, "likes_N"), (4, "views_N"))}
    settings = {("row_levels" if name == "row_features" else name): value for name, value in vars(config).items()}
    header = {
        "format": checkpoint.FORMAT,
        "version": str(version),
        "config": json.dumps(settings),
        "vocabulary": json.dumps({"items": 40, "tags": 12, "levels": LEVELS, "content": 8}),
        "tags": "3",
        "meta": "{}",
    }
    save_file(tensors, path, header)
    inputs = (histories([0, 2, 9], 9), *targets(3))
    loaded = checkpoint.load(path)
    assert (loaded.config, loaded.vocabulary) == (config, VOCABULARY)
    assert torch.equal(loaded(*inputs), model(*inputs))


def rewritten(path: Path, **header: str) -> None:
    metadata = {"format": checkpoint.FORMAT, "version": str(checkpoint.VERSION)}
    metadata |= {"config": json.dumps(asdict(BASE)), "vocabulary": json.dumps(asdict(VOCABULARY)), "meta": "{}"}
    metadata |= header
    save_file(load_file(path), path, metadata)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is missing"):
        checkpoint.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 100, 3000], ids=["nothing", "length", "header", "tensors"])
def test_a_truncated_file(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="is truncated or"):
        checkpoint.load(saved)


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, which are no weights at all")
    with pytest.raises(CheckpointError, match="truncated or no safetensors file"):
        checkpoint.load(path)


def test_a_foreign_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="holds tensors but no ranker"):
        checkpoint.load(path)


def test_a_newer_file(saved: Path) -> None:
    rewritten(saved, version="99")
    with pytest.raises(
        CheckpointError, match=f"format version 99; this mmctr reads up to {checkpoint.VERSION}: update it"
    ):
        checkpoint.load(saved)


def test_a_config_with_a_field_of_the_future(saved: Path) -> None:
    rewritten(saved, config=json.dumps({"warp": 9}))
    with pytest.raises(CheckpointError, match=r"does not describe a ranker of this version .*warp"):
        checkpoint.load(saved)


@pytest.mark.parametrize("value", ["not json", '{"embedding_dim": 0}', "[]"], ids=["text", "value", "list"])
def test_a_config_that_is_none(saved: Path, value: str) -> None:
    rewritten(saved, config=value)
    with pytest.raises(CheckpointError, match="does not describe a ranker"):
        checkpoint.load(saved)


def test_tensors_that_do_not_fit_the_config(saved: Path) -> None:
    rewritten(saved, config=json.dumps(vars(replace(BASE, embedding_dim=6))))
    with pytest.raises(CheckpointError, match="its tensors do not fit its config"):
        checkpoint.load(saved)


def test_the_unfinished_file_lies_beside_the_finished_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere it could lie on another disk, from which no file can be moved in one step."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    checkpoint.save(tmp_path / "here" / "model.safetensors", ranker())
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["model.safetensors"]
