"""The calibration is the last step of every way to score, travels with the checkpoint, and can be exported."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from components.statistics.calibrate import given
from model.calibration import Calibration, LogitMap
from model.checkpoint import CheckpointError, load, read_header, save

from .builders import histories, ranker, targets

BENT = LogitMap("isotonic", ((-2.0, -3.0), (-0.5, -1.0), (0.25, 2.0), (3.0, 2.5)), 1.0, 0.5)
LINE = LogitMap("platt", ((0.0, -0.7),), 0.4)


def made_rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    return histories([0, 3, 7, 20], 20), *targets(4)


@pytest.mark.parametrize("found", [LogitMap(), LINE, BENT])
def test_the_module_computes_the_map(found: LogitMap) -> None:
    logits = np.r_[np.linspace(-12, 12, 4001), [knot for knot, _ in found.knots]]
    computed = Calibration(found)(torch.tensor(logits, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(computed, given(found, logits), atol=2e-6, rtol=1e-6)
    assert (np.diff(computed[:4001]) > 0).all()


def test_no_calibration_changes_no_bit() -> None:
    logits = torch.randn(1000) * 8
    assert torch.equal(Calibration(LogitMap())(logits), logits)


def test_every_way_to_score_ends_with_it() -> None:
    network, rows = ranker(), made_rows()
    encoded = network.encode(torch.arange(network.vocabulary.items))

    def all_ways() -> list[torch.Tensor]:
        history_BL, item_B, codes_BX, numbers_BX = rows
        return [
            network(*rows),
            network.score_rows(*rows),
            network.score_encoded(encoded, *rows),
            network.score_groups(encoded, [history_BL[:2], history_BL[2:]], item_B, codes_BX, numbers_BX),
        ]

    with torch.inference_mode():
        before = all_ways()
        network.calibrate(BENT)
        after = all_ways()
    for raw, mapped in zip(before, after, strict=True):
        np.testing.assert_allclose(mapped.numpy(), given(BENT, raw.double().numpy()), atol=1e-5)


@pytest.mark.parametrize("found", [LINE, BENT])
def test_a_checkpoint_holds_it_beside_unchanged_weights(found: LogitMap, tmp_path: Path) -> None:
    network = ranker()
    save(tmp_path / "raw.safetensors", network)
    network.calibrate(found)
    save(tmp_path / "calibrated.safetensors", network)
    raw, calibrated = load(tmp_path / "raw.safetensors"), load(tmp_path / "calibrated.safetensors")
    assert raw.calibration is None
    assert calibrated.calibration is not None
    assert calibrated.calibration.of == found == read_header(tmp_path / "calibrated.safetensors").calibration
    assert raw.state_dict().keys() == calibrated.state_dict().keys()
    rows = made_rows()
    with torch.inference_mode():
        assert torch.equal(calibrated(*rows), network(*rows))


@pytest.mark.parametrize("found", [LINE, BENT])
def test_an_exported_network_ends_with_it(found: LogitMap) -> None:
    network, rows = ranker(), made_rows()
    network.calibrate(found)
    with torch.no_grad():
        exported = torch.export.export(network, rows).module()
        assert torch.allclose(exported(*rows), network(*rows), atol=1e-6)


@pytest.mark.parametrize(
    ("knots", "slope"),
    [(((0.0, 0.0), (1.0, 0.0)), 1.0), (((0.0, 0.0), (0.0, 1.0)), 1.0), (((0.0, 0.0),), 0.0), (((0.0, 0.0),), -1.0)],
)
def test_a_map_that_does_not_rise_is_refused(knots: tuple[tuple[float, float], ...], slope: float) -> None:
    with pytest.raises(ValueError, match="must rise"):
        LogitMap("platt", knots, slope)


def test_a_header_whose_calibration_is_damaged_is_refused(tmp_path: Path) -> None:
    network = ranker()
    network.calibrate(LINE)
    path = tmp_path / "ranker.safetensors"
    save(path, network)
    with safe_open(path, "pt") as file:
        header = dict(file.metadata())
    for damage in ('{"knots": [[0, 0], [1, -1]]}', '{"knots": []}', '{"knots": 3}', "[1]", '{"shape": 1}'):
        save_file(load_file(path), tmp_path / "damaged.safetensors", header | {"calibration": damage})
        with pytest.raises(CheckpointError, match="header does not describe"):
            read_header(tmp_path / "damaged.safetensors")
    assert json.loads(header["calibration"])["method"] == "platt"
