"""What Kubeflow copies in a night, step by step, at the challenge's size: `python -m benchmarks.night`.

Kubeflow Pipelines downloads every object of every input artifact of a step, one after the other, and uploads every
file of its outputs (`DownloadBlob` and `UploadBlob` in backend/src/v2/objectstore/object_store.go). Which artifacts
those are is read from the compiled pipeline. The images themselves stay in the workspace, which all steps see. What
lies in the artifacts is taken from the second of two local runs on generated data with loose images; the first one's
model is the champion. The sizes are simulated: a file that holds rows or items is scaled to their number at the
challenge's size. Weights are scaled whole, as if all of them were rows of items, so the bytes of `training` and
`champion` are far too many. No second is measured.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import machine
from components.dataset.images import ImageFolder
from components.dataset.layout import item_images_path
from components.dataset.packing import SHARD, SHARD_BYTES, pack_loose_images, take_images_apart
from components.dataset.sample import SIZES, write_sample
from components.storage.files import write_json
from pipelines.compile import compile_pipeline
from pipelines.training import training_pipeline

RESULT = Path("benchmarks/results/night.json")
ROWS, ITEMS = 3_600_000, 92_000
IMAGE_BYTES = 30_000  # assumed: a cover as JPEG
TAR_HEADER = 1024  # bytes: of a member's header, and of what fills its last block, at most
SCALE_DOWN = 100  # of images and shards while they are packed: only their number counts
OF_ROWS = ("train.parquet", "valid.parquet", "test.parquet", "predictions.parquet")
OF_ITEMS = ("item_feature.parquet", "item_info.parquet", "model.safetensors", "ranker.safetensors", "ranker.pt2")
Files = dict[str, int]  # path inside an artifact to bytes


def night() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        made = artifacts_of_a_run(Path(name))
        made["images"], nights = images_of_two_nights(Path(name))
    steps = {
        step: {
            f"{way}_{unit}": sum(measure(made[artifact]) for artifact in artifacts)
            for way, artifacts in ways.items()
            for unit, measure in (("objects", len), ("bytes", lambda files: sum(files.values())))
        }
        for step, ways in inputs_and_outputs().items()
    }
    ways = ("read_objects", "read_bytes", "written_objects", "written_bytes")
    return {
        "artifacts": {
            artifact: {"objects": len(files), "bytes": sum(files.values())} for artifact, files in made.items()
        },
        "steps": steps,
        "total": {way: sum(step[way] for step in steps.values()) for way in ways},
        "image_bytes_kept_in_the_workspace_by_two_equal_nights": nights,
        "most_objects_read_by_a_step": max(step["read_objects"] for step in steps.values()),
    }


def inputs_and_outputs() -> dict[str, dict[str, list[str]]]:
    """Of each step. An artifact has the same name wherever it is read: that of the output that it is."""
    spec = next(iter(yaml.safe_load_all(compile_pipeline(training_pipeline))))
    return {
        name.removeprefix("comp-"): {
            "read": sorted(component.get("inputDefinitions", {}).get("artifacts", {})),
            "written": sorted(component.get("outputDefinitions", {}).get("artifacts", {})),
        }
        for name, component in spec["components"].items()
        if "executorLabel" in component
    }


def artifacts_of_a_run(folder: Path) -> dict[str, Files]:
    data, workspace, spec = folder / "data", folder / "workspace", SIZES["tiny"]
    write_sample(data, spec)
    _loosen(data)
    run = ["run", "--data", str(data), "--workspace", str(workspace), "--set", "train.max_epochs=2"]
    easy = ("auc_floor=0.4", "minimum_rows=100", "calibration_ceiling=1", "baseline_margin=-1")
    run += [word for setting in easy for word in ("--set", f"gate.{setting}")]
    _mmctr(*run)
    _mmctr("review", "approve", "1", "--by", "benchmark", "--note", "a champion", "--workspace", str(workspace))
    _mmctr(*run)
    steps = max(workspace.glob("runs/*/steps"))
    scale = {
        **dict.fromkeys(OF_ROWS, ROWS / sum(spec.rows(split) for split in ("train", "valid", "test"))),
        **dict.fromkeys(OF_ITEMS, ITEMS / spec.items),
    }
    made: dict[str, Files] = {"encoded": {}}  # encode-shard fills the workspace's cache, and its artifact stays empty
    written = {artifact for ways in inputs_and_outputs().values() for artifact in ways["written"]}
    for artifact in (path for path in steps.glob("*/*/*") if path.name in written):
        files = [file for file in artifact.rglob("*") if file.is_file()]
        made[artifact.name] = {
            file.relative_to(artifact).as_posix(): int(file.stat().st_size * scale.get(file.name, 1)) for file in files
        }
    return made


def images_of_two_nights(folder: Path) -> tuple[Files, list[int]]:
    """The artifact, and the bytes that each of two nights with the same images adds to the workspace.

    The images and the shards are smaller by `SCALE_DOWN` while they are packed; all images have other bytes.
    """
    store, images, kept = folder / "store", folder / "images", [0]
    for night in ("first", "second"):
        dataset = folder / night
        item_images_path(dataset).mkdir(parents=True)
        for item in range(1, ITEMS + 1):
            content = item.to_bytes(8, "big").ljust(IMAGE_BYTES // SCALE_DOWN, b"\0")
            (item_images_path(dataset) / f"{item}.jpg").write_bytes(content)
        pack_loose_images(dataset, SHARD_BYTES // SCALE_DOWN)
        take_images_apart(dataset, images, store)
        kept.append(sum(shard.stat().st_size for shard in store.glob(f"*/{SHARD}")))
    scale = ITEMS * (IMAGE_BYTES + TAR_HEADER) / kept[1]
    added = [round(scale * (after - before)) for before, after in itertools.pairwise(kept)]
    return {file.name: file.stat().st_size for file in images.iterdir()}, added


def _loosen(data: Path) -> None:
    images = ImageFolder(data)
    item_images_path(data).mkdir()
    for item in images.ids():
        (item_images_path(data) / f"{item}.jpg").write_bytes(images.read(item))
    for shard in data.glob("*.tar"):
        shard.unlink()


def _mmctr(*words: str) -> None:
    subprocess.run([sys.executable, "-c", "from pipelines.cli import main; main()", *words], check=True)


if __name__ == "__main__":
    result = {"machine": machine(), "rows": ROWS, "items": ITEMS, "image_bytes": IMAGE_BYTES, **night()}
    write_json(RESULT, result)
    print(json.dumps({name: result[name] for name in ("artifacts", "total")}, indent=2))
