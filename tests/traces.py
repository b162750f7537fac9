"""What the other steps leave in their folders, as the report finds it."""

import base64

from components.report.evidence import Evidence
from tests.measured import checked_data

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def traces() -> Evidence:
    epochs = [
        {
            "epoch": e,
            "step": 100 * (e + 1),
            "learning_rate": 5e-4,
            "train_loss": 0.55 - 0.02 * e,
            "valid_auc": 0.74 + 0.02 * e - 0.003 * e * e,
            "valid_log_loss": 0.52 - 0.01 * e,
        }
        for e in range(6)
    ]
    return Evidence(
        validation=checked_data(),
        manifest={
            "source": "encoded",
            "items": 300,
            "encoders": {"text": {"encoder": "minilm"}, "image": {"column": "img_emb_CLIPRN50"}},
            "imputed": {"text": [], "image": [3, 9]},
            "imputed_counts": {"text": 0, "image": 2},
            "tag_names": [],
            "bad_input": {"causes": {"truncated image": {"count": 2, "items": [3, 9]}}},
        },
        curves={"steps": [], "epochs": epochs},
        summary={
            "training": "a41c0f9b22d1",
            "preset": "best",
            "seconds": 312.0,
            "parameters": 267_898_881,
            "seed": 1,
            "rows": {"train": 3_600_000, "valid": 10_000},
            "device": "cpu",
            "ranks": 1,
            "torch": "2.13.0",
        },
        lineage={
            "repository": "git@example.org:team/data.git",
            "revision": "main",
            "data_commit": "3f9c2ab66e1b",
            "data_md5": "d41d8cd98f00b204e9800998ecf8427e",
            "files": {"train.parquet": {"size": 9}},
            "size": 48_123_456,
            "remote": "s3://data",
            "code_commit": "1c0ffee",
            "code_changed": True,
            "lock_sha256": None,
        },
        pipeline_run="2041",
        date="28 November 2026",
        contact_sheet="data:image/png;base64," + base64.b64encode(PIXEL).decode("ascii"),
    )
