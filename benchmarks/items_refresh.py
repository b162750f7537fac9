"""How long a new item waits until it can be scored: `python -m benchmarks.items_refresh`.

Commands as a user types them, each in a process of its own, with the project's own encoders (MiniLM and
EfficientNet-Lite0) on the processor: `mmctr run` on a generated sample, an approval, then `mmctr items refresh` on the
same data with new items, and `mmctr predict` of rows that name them.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.machine import machine
from benchmarks.training import RESULTS
from components.dataset.images import ImageFolder
from components.dataset.layout import HISTORY, ITEM, TITLE
from components.dataset.sample import SampleSpec, write_sample
from components.storage.files import write_json

_FEW = ("--set", "train.max_epochs=1", "--set", "gate.auc_floor=0.1", "--set", "gate.baseline_margin=-1")


def add_items(data: Path, out: Path, new: int) -> list[int]:
    """The data with new items, each with a title and a cover that no other has; returns their ids."""
    shutil.copytree(data, out)
    table, random = pq.read_table(data / "item_feature.parquet"), np.random.default_rng(1)
    highest = int(np.asarray(table.column(ITEM)).max())
    like = table.take(pa.array(random.integers(0, table.num_rows, new)))
    ids = list(range(highest + 1, highest + 1 + new))
    titles = [f"{title} {item}" for title, item in zip(like.column(TITLE).to_pylist(), ids, strict=True)]
    images, kept = ImageFolder(data), like.column(ITEM).to_pylist()
    for name, values in ((ITEM, ids), (TITLE, titles)):
        place = like.schema.get_field_index(name)
        like = like.set_column(place, name, pa.array(values, like.schema.field(name).type))
    pq.write_table(pa.concat_tables([table, like]), out / "item_feature.parquet")
    with tarfile.open(out / "item_images-99999.tar", "w") as tar:
        for item, source in zip(ids, kept, strict=True):
            picture = np.asarray(Image.open(io.BytesIO(images.read(source))).convert("RGB")).copy()
            picture[:8, :8] = random.integers(0, 255, (8, 8, 3))
            content = io.BytesIO()
            Image.fromarray(picture).save(content, "JPEG")
            member = tarfile.TarInfo(f"{item}.jpg")
            member.size = content.tell()
            content.seek(0)
            tar.addfile(member, content)
    return ids


def mmctr(*arguments: Any) -> dict[str, Any]:
    """Wall and CPU seconds of a command, and what it printed."""
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", *map(str, arguments)]
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mmctr {arguments[0]} failed: {done.stderr[-2000:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": round(time.perf_counter() - began, 2), "cpu_seconds": round(cpu, 2), "said": done.stdout.strip()}


def measure(items: int, new: int, folder: Path) -> dict[str, Any]:
    data, workspace = folder / "data", folder / "workspace"
    write_sample(data, SampleSpec(items=items, train_rows=4_000, valid_rows=1_000, test_rows=1_000))
    mmctr("run", "--data", data, "--workspace", workspace, *_FEW)
    mmctr("review", "approve", 1, "--by", "benchmark", "--note", "made up", "--workspace", workspace)
    ids = add_items(data, folder / "newer", new)
    rows = pq.read_table(data / "test.parquet").slice(0, new)
    histories = rows.column(HISTORY)
    rows = rows.set_column(rows.schema.get_field_index(ITEM), ITEM, pa.array(ids[: len(histories)], pa.int64()))
    pq.write_table(rows, folder / "rows.parquet")
    refreshed = mmctr("items", "refresh", "--data", folder / "newer", "--workspace", workspace)
    again = mmctr("items", "refresh", "--data", folder / "newer", "--workspace", workspace)
    out = folder / "scores.parquet"
    predicted = mmctr("predict", "--data", folder / "rows.parquet", "--out", out, "--workspace", workspace)
    assert all(pq.read_table(out).column("known_item").to_pylist())
    return {"items": items, "new": new, "refresh": refreshed, "refresh_again": again, "predict": predicted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000, help="that the champion knows")
    parser.add_argument("--new", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=RESULTS / "items_refresh.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(asked.items, asked.new, Path(folder))
    write_json(asked.out, {"machine": machine(), "load_average": os.getloadavg(), **found})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
