"""The steps of the pipeline that gives the champion new items, one after another."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components import ops
from components.settings import to_dict
from components.storage.files import read_json
from components.tracking.ending import OUTCOME
from components.tracking.item_tables import read_tables
from components.tracking.runs import run_for
from tests.champion_with_items import ITEMS, World, write_items

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint")


def test_its_steps_publish_the_new_items_and_say_so(world: World, tmp_path: Path) -> None:
    titles = {item: f"of a pipeline {item}" for item in (ITEMS + 1, ITEMS + 2)}
    data = write_items(tmp_path / "data", ITEMS + 2, titles)
    made: dict[str, Any] = {name: SimpleNamespace(path=str(tmp_path / name)) for name in ("dataset", "images")}
    lineage, champion, refreshed = (SimpleNamespace(path=str(tmp_path / n)) for n in ("lineage", "champion", "out"))
    common = {"config": json.dumps(to_dict(world.candidate.config)), "pipeline_run": "night-1"}
    where = {**common, "workspace": str(world.root)}
    ops.ingest.python_func(**where, repository="", revision="", folder=str(data), lineage=lineage, **made)
    ops.fetch_champion.python_func(**common, champion=champion)
    ops.refresh_items.python_func(**where, **made, champion=champion, refreshed=refreshed)
    found = read_json(tmp_path / "out" / "refreshed.json")
    assert (found["new"], found["changed"], found["published"]) == (2, 0, True)
    current = read_tables(world.models).current(1, world.package)
    assert current is not None
    assert (current.table, current.by) == (found["table"], "pipeline run night-1")
    status = SimpleNamespace(state="COMPLETE")
    ops.notify.python_func(**common, status=status)
    run = run_for("night-1", world.candidate.config.experiment)
    assert run.tags()[OUTCOME] == "items refreshed"
    assert "items/items.npz" in {file.path for file in run.server.call("list_artifacts", run.run_id, "items")}
