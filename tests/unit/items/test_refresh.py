"""An item table for the champion: new and changed items are scored, known ones as before, and nothing else is."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from components.errors import StepError
from components.items.refresh import Refreshed, refresh
from components.items.revoke import revoke
from components.predict.batch import predict
from components.predict.config import PredictConfig
from components.storage.files import write_json
from components.tracking import item_tables
from components.tracking.chain import TamperedError
from components.tracking.item_tables import read_tables
from components.tracking.models import Models
from tests.champion_with_items import ITEMS, World, write_items
from tests.services.registry import DyingServer, KilledError

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint")


def _scores(world: World, items: list[int], out: Path) -> pd.DataFrame:
    rows = pd.DataFrame({"user_id": 1, "item_id": items, "item_seq": [[3, 5]] * len(items)})
    rows["likes_level"] = rows["views_level"] = 4
    rows.to_parquet(out.with_name("rows.parquet"))
    predict(out.with_name("rows.parquet"), out, world.models, world.root, PredictConfig())
    return pq.read_table(out).to_pandas()


def test_new_and_changed_items_are_scored_and_all_others_to_the_last_bit_as_before(
    world: World, tmp_path: Path
) -> None:
    items = list(range(1, ITEMS + 7))
    before = _scores(world, items, tmp_path / "before.parquet")
    assert before.known_item.tolist() == [True] * ITEMS + [False] * 6
    data = write_items(tmp_path / "data", ITEMS + 6, {7: "another title"})
    done = world.refresh(data)
    assert (done.version, done.published, done.new, done.changed, done.encoded) == (1, True, 6, 1, 13)
    after = _scores(world, items, tmp_path / "after.parquet")
    assert after.known_item.all()
    assert after.item_table.unique().tolist() == [done.table[:16]]
    same = [item not in (7, *items[ITEMS:]) for item in items]
    assert after.logit[same].tolist() == before.logit[same].tolist()
    assert (after.logit[~np.array(same)] != before.logit[~np.array(same)]).all()
    assert after.logit[ITEMS:].nunique() == 6  # each by its own content
    assert before.logit[ITEMS:].nunique() == 1  # as padding


def test_the_same_data_is_published_once(world: World, tmp_path: Path) -> None:
    assert world.refresh(world.root / "data").sentence() == (
        "version 1 knows all items as they are: nothing was published"
    )
    data = write_items(tmp_path / "data", ITEMS + 1)
    first, second = world.refresh(data), world.refresh(data)
    assert first.published
    assert second == replace(first, published=False, encoded=0)


def test_a_revoked_table_no_longer_counts_and_is_not_published_again(world: World, tmp_path: Path) -> None:
    first = world.refresh(write_items(tmp_path / "a", ITEMS + 2))
    data = write_items(tmp_path / "b", ITEMS + 3)
    second = world.refresh(data)
    sentence = revoke(world.models, 1, "Bo", "covers were mixed up")
    assert sentence == (
        f"Bo revoked the item table {second.table[:16]} of version 1: covers were mixed up. "
        f"Now the item table {first.table[:16]} counts."
    )
    with pytest.raises(StepError, match=r"covers were mixed up\. The same table is not published again"):
        world.refresh(data)
    assert revoke(world.models, 1, "Bo", "that one too").endswith("Now the version's own item table counts.")
    assert _scores(world, [ITEMS + 1], tmp_path / "scores.parquet").known_item.tolist() == [False]
    with pytest.raises(StepError, match="version 1 has no published item table"):
        revoke(world.models, 1, "Bo", "once more")


def test_a_damaged_table_is_named_and_refused(world: World, tmp_path: Path) -> None:
    done = world.refresh(write_items(tmp_path / "data", ITEMS + 4))
    entry = read_tables(world.models).current(1, world.package)
    assert entry is not None
    file = Path(world.models.server.call("get_run", entry.run_id).info.artifact_uri.removeprefix("file://"))
    file = file / "items" / "items.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StepError, match=rf"the item table {done.table[:16]} of mmctr version 1 is damaged"):
        _scores(world, [1], tmp_path / "scores.parquet")
    file.write_bytes(whole)
    assert _scores(world, [1], tmp_path / "scores.parquet").item_table[0] == done.table[:16]
    kept = world.root / "cache" / "models" / f"items-{done.table}.npz"
    kept.write_bytes(b"damaged here")  # a copy of this machine is fetched again
    assert _scores(world, [1], tmp_path / "again.parquet").item_table[0] == done.table[:16]
    assert kept.read_bytes() == whole


def test_a_kill_anywhere_leaves_the_old_table_and_the_next_refresh_publishes(world: World, tmp_path: Path) -> None:
    data = write_items(tmp_path / "data", ITEMS + 5)
    server, at = world.models.server, 0
    while True:
        dying = DyingServer(server.uri, server.client, at)
        try:
            world.refresh(data, Models(dying, "mmctr"))
        except KilledError:
            counts = read_tables(world.models).current(1, world.package)
            if "create_model_version" not in dying.calls:
                assert counts is None
            at += 1
        else:
            break
    assert at > 3  # it died at several places
    assert world.refresh(data).published is False
    found = [e for e in read_tables(world.models).entries.values() if e.facts.get("new") == 5]
    assert len(found) == 1


def test_of_two_refreshes_at_once_the_first_counts(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reads the log before the first has written to it."""
    one, other = write_items(tmp_path / "a", ITEMS + 6), write_items(tmp_path / "b", ITEMS + 7)
    honest = item_tables.upload
    entered: list[Refreshed] = []

    def first_comes_between(*arguments: object) -> None:
        monkeypatch.setattr(item_tables, "upload", honest)
        entered.append(world.refresh(one))
        honest(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(item_tables, "upload", first_comes_between)
    with pytest.raises(StepError, match="someone else changed the item tables of mmctr at the same moment"):
        world.refresh(other)
    current = read_tables(world.models).current(1, world.package)
    assert current is not None
    assert current.table == entered[0].table


def test_a_changed_entry_of_the_log_is_noticed(world: World, tmp_path: Path) -> None:
    world.refresh(write_items(tmp_path / "data", ITEMS + 8))
    log = item_tables.log_of(world.models)
    newest = log.versions()[-1]
    text = newest.tags[item_tables.ITEMS]
    log.set_tag(newest.number, item_tables.ITEMS, text.replace("Ada", "Eve"))
    with pytest.raises(TamperedError, match=f"the text of entry {newest.number} was changed"):
        _scores(world, [1], tmp_path / "scores.parquet")
    log.set_tag(newest.number, item_tables.ITEMS, text)


def test_without_a_champion_there_is_nothing_to_refresh(world: World, tmp_path: Path) -> None:
    write_json(tmp_path / "champion.json", {"version": None})
    with pytest.raises(StepError, match="mmctr has no champion yet, so there is nothing to refresh"):
        refresh(world.root / "data", tmp_path, world.models, world.cache, "Ada", "new data")


FEATURES = """
features:
  - {name: brand, of: item, kind: category}
"""


def test_what_the_champion_cannot_read_is_named(world: World, tmp_path: Path) -> None:
    untitled = write_items(tmp_path / "untitled", ITEMS + 6, dict.fromkeys(range(ITEMS + 1, ITEMS + 7)))
    with pytest.raises(StepError, match=r"6 items \(20\.00%\) cannot be embedded .*text: null × 6 \(item 25\)"):
        world.refresh(untitled)
    grown = write_items(tmp_path / "grown", ITEMS, brand=["a"] * ITEMS)
    (grown / "features.yaml").write_text(FEATURES)
    with pytest.raises(StepError, match="declares the item feature 'brand', which version 1 was trained without"):
        world.refresh(grown)
    data = write_items(tmp_path / "bare", ITEMS)
    bare = pq.read_table(data / "item_feature.parquet").drop_columns(["likes_level"])
    pq.write_table(bare, data / "item_feature.parquet")
    with pytest.raises(StepError, match="no column 'likes_level', which version 1 reads of items"):
        world.refresh(data)
    shutil.rmtree(grown / "item_images")
    (grown / "features.yaml").unlink()
    with pytest.raises(StepError, match="the dataset has no images"):
        world.refresh(grown)
