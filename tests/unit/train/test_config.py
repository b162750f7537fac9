"""The paper's training when nobody says otherwise, and which values may be set."""

import pytest

from components.train.config import TrainConfig
from tests.ranges import Row, assert_other_defaults, assert_ranges

NUMBERS: dict[str, Row] = {
    "seed": (1, 0, None),
    "batch_size": (128, 1, None),
    "accumulate": (1, 1, None),
    "learning_rate": (5e-4, 0.0, None),
    "weight_decay": (0.0, 0.0, None),
    "gradient_clip": (10.0, 0.0, None),
    "id_min_count": (0, 0, None),
    "id_max_age_days": (0.0, 0.0, None),
    "max_epochs": (100, 1, None),
    "patience": (5, 1, None),
    "average_decay": (0.0, 0.0, 0.9999),
    "negatives_kept": (1.0, 1e-6, 1.0),
    "learning_rate_decay": (0.1, 0.0, 1.0),
    "pairwise_weight": (0.0, 0.0, 1.0),
    "embedding_l2": (0.0, 0.0, None),
    "align_weight": (0.0, 0.0, None),
    "distil_weight": (0.0, 0.0, None),
    "replay_share": (0.5, 0.0, 0.99),
    "pull_to_champion": (0.0, 0.0, None),
    "cold_above_drift": (0.0, 0.0, None),
    "cold_after_refusals": (1, 0, None),
    "max_chain": (30, 0, None),
    "processes": (1, 1, None),
    "nodes": (1, 1, None),
    "checkpoint_minutes": (10.0, 0.0, None),
    "checkpoint_steps": (0, 0, None),
    "silence_minutes": (15.0, 0.1, None),
    "restarts": (3, 0, None),
}
OTHERS = {
    "id_optimizer": "adam",
    "calibration": "auto",
    "start": "scratch",
    "launcher": "inline",
    "runtime": "mmctr",
    "queue": "mmctr-training",
    "device": "auto",
    "precision": "float32",
}


def test_each_number_has_its_default_and_its_range() -> None:
    assert_ranges(TrainConfig(), NUMBERS, "train")
    assert_other_defaults(TrainConfig(), NUMBERS, OTHERS)


@pytest.mark.parametrize("field", ["launcher", "precision", "id_optimizer", "device", "start"])
def test_a_choice_that_is_none_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=rf"train\.{field} = 'another': must be one of"):
        TrainConfig(**{field: "another"})  # type: ignore[arg-type]


def test_pairs_are_not_formed_over_a_batch_in_parts() -> None:
    with pytest.raises(ValueError, match=r"train\.pairwise_weight = 0.5 with train\.accumulate = 2"):
        TrainConfig(pairwise_weight=0.5, accumulate=2)
    TrainConfig(pairwise_weight=0.5, accumulate=1)
    TrainConfig(pairwise_weight=0.0, accumulate=2)
