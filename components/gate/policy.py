"""The policy as a file that a team reviews and versions."""

from pathlib import Path

import yaml

from components.errors import StepError
from components.gate.config import GatePolicy
from components.settings import from_dict


def read_policy(path: Path) -> GatePolicy:
    """Fields that the file leaves out keep their defaults; unknown ones are refused by name."""
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise StepError(f"{path} is missing: name a policy file, infra/policies/gate.yaml is one") from None
    except yaml.YAMLError as error:
        raise StepError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise StepError(f"{path} must hold `field: value` lines, such as `auc_floor: 0.7`")
    try:
        return from_dict(GatePolicy, values, "gate.")
    except ValueError as error:
        raise StepError(f"{path}: {error}") from None
