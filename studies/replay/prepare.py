"""What all policies of a replay read, made once: the rows in the order of time, and every item's encoded content.

The encoders are as they come, trained on other data, so encoding all items beforehand tells no night anything. What is
fitted to this data (vocabularies, the projection of the content) is fitted again on each night.
"""

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.dataset.layout import LIKES, TIME, USER, VIEWS, item_feature_path, split_path
from components.errors import StepError
from components.run_config import RunConfig
from components.settings import from_dict
from components.storage.files import read_json, sha256_file, sha256_json, write_json
from components.storage.sources import code_key
from components.storage.verified import made_once
from studies.inputs import ingested
from studies.replay.night import NightPlan, date_of
from studies.task import serve


@dataclass(frozen=True)
class ReplayInputs:
    key: str  # of the data's content
    timeline: str  # its folder
    cutoffs: list[int]
    data: dict[str, Any]  # as results.json holds it
    truth: dict[str, Any] | None  # of a generated data set: what happened when, and which policy is best


def prepare(request: dict[str, Any]) -> ReplayInputs:
    from studies.replay.timeline import make_timeline

    config, plan = from_dict(RunConfig, request["config"]), from_dict(NightPlan, request["plan"])
    cache = Path(request["workspace"]) / "cache"
    (cache / "replay").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=cache / "replay") as scratch:
        incoming = Path(scratch) / "dataset"
        md5, source = ingested(request, incoming, cache / "data")
        key = sha256_json([md5, code_key("studies.replay.timeline")])[:32]
        folder = cache / "replay" / "timelines" / key
        made_once(folder, lambda making: make_timeline(incoming, making))
        sha = sha256_file(split_path(incoming, "train"))
        truth = incoming / "truth.json"
        known = read_json(truth).get("days") if truth.is_file() else None
        _encode(incoming, config, cache)
    return _described(folder, plan, {**source, "sha256": sha}, known)


def _encode(dataset: Path, config: RunConfig, cache: Path) -> None:
    from components.embed.step import encode_shard

    encode_shard(dataset, config.embed, cache / "embeddings", 0, 1)


def _described(folder: Path, plan: NightPlan, data: dict[str, Any], truth: dict[str, Any] | None) -> ReplayInputs:
    import pyarrow.parquet as pq

    from components.schema.declared import read_schema
    from studies.replay.hindsight import check_hindsight, measure_hindsight
    from studies.replay.timeline import Timeline

    timeline = Timeline(folder)
    rows = timeline.rows()
    if not len(rows):
        raise StepError("the data have no rows: nothing can be replayed")
    time = rows.column(TIME).to_numpy()
    cutoffs = plan.cutoffs(time)
    items = pq.read_table(item_feature_path(timeline.files))
    if not read_schema(timeline.files).from_file:  # each night has these counted anew
        items = items.drop_columns([name for name in (LIKES, VIEWS) if name in items.column_names])
    agreements = measure_hindsight(timeline, items, cutoffs[0])
    check_hindsight(agreements)
    facts = {
        "rows": len(rows),
        "users": len(np.unique(rows.column(USER).to_numpy())),
        "items": len(items),
        "first_day": date_of(int(time[0])),
        "last_day": date_of(int(time[-1])),
        "hindsight": {name: round(value, 4) for name, value in agreements.items()},
    }
    return ReplayInputs(folder.name, str(folder), cutoffs, {**data, **facts}, truth)


def _work(request: dict[str, Any]) -> None:
    write_json(Path(request["answer"]), asdict(prepare(request)))


if __name__ == "__main__":
    sys.exit(serve(_work))
