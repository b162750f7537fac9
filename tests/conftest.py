"""What every test needs: third parties that send nothing home, and one thread a test."""

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

pytest_plugins = ["tests.omissions", "tests.services.mlflow", "tests.services.s3"]
