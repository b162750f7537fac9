from pathlib import Path

import pytest

from components.errors import StepError
from components.gate.config import GatePolicy
from components.gate.policy import read_policy

SHIPPED = Path(__file__).parents[3] / "infra" / "policies" / "gate.yaml"


def test_the_policy_that_is_shipped_names_every_default() -> None:
    assert read_policy(SHIPPED) == GatePolicy()
    lines = SHIPPED.read_text()
    assert all(f"\n{field}: " in lines for field in GatePolicy.__dataclass_fields__)


def test_what_a_file_leaves_out_keeps_its_default(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text("auc_floor: 0.7\ncomparison: superior\n")
    assert read_policy(tmp_path / "gate.yaml") == GatePolicy(auc_floor=0.7, comparison="superior")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auc_flor: 0.7", "gate.auc_flor: no such field"),
        ("auc_floor: 1.2", r"gate.auc_floor = 1.2: must lie in \[0.0, 1.0\]"),
        ("auc_floor: high", "gate.auc_floor = 'high': must be a number"),
        ("alpha: 0", "gate.alpha"),
        ("data: stopped", "gate.data = 'stopped': must be one of"),
        ("comparison: better", "gate.comparison = 'better': must be one of"),
        ("unit: clicks", "gate.unit"),
        ("unreadable_champion: ignore", "gate.unreadable_champion"),
        ("minimum_rows: -1", "gate.minimum_rows = -1: must be at least 0"),
        ("- auc_floor", "must hold `field: value` lines"),
        ("auc_floor: [", "is not YAML"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_field(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gate.yaml").write_text(text)
    with pytest.raises(StepError, match=message):
        read_policy(tmp_path / "gate.yaml")


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="is missing: name a policy file"):
        read_policy(tmp_path / "gate.yaml")
