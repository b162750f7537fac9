"""What every test needs: third parties that send nothing home, and one thread a test."""

import os

import pytest

pytest_plugins = ["tests.services.mlflow", "tests.services.s3"]


@pytest.fixture(autouse=True, scope="session")
def quiet_third_parties() -> None:
    os.environ.update(
        {
            "GX_ANALYTICS_ENABLED": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DVC_NO_ANALYTICS": "true",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
    )
