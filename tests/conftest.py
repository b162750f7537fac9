"""What every test needs: third parties that send nothing home, one thread a test, and the same chance in every run."""

import os

# At import, before anything loads torch: OpenMP reads its thread count once, and bits depend on it.
os.environ.update(
    {
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "true",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
)

import random
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.omissions", "tests.services.new_registries", "tests.services.mlflow", "tests.services.s3"]

# A busy machine is no failure, and a run must end as the one before it. New examples: `--hypothesis-profile=default`.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before the fixtures, so that the weights and rows which they draw depend on no test that ran earlier."""
    random.seed(16)
    np.random.seed(16)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(16)
