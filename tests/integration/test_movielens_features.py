"""MovieLens with declared features, on a generated stand-in with its files: user ids as texts, time, hour of day,
release year, genres, posters. From the import to scores, which are the same by every way.
"""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from components.batches.rows import RowStore
from components.batches.scoring import score
from components.dataset.importers import movielens_features
from components.dataset.sample.covers import draw_cover
from components.packages.fetch import local_package
from components.predict.batch import predict
from components.predict.config import PredictConfig
from components.schema.fitted import read_features
from components.tracking.models import Models
from components.tracking.pyfunc import load_model
from components.tracking.server import connect
from model.checkpoint import load
from tests.local_run import walk

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),  # from MLflow, about its own types
]
USERS, FILMS, RATINGS = 60, 50, 1_500
GENRES = ("Drama", "War", "Comedy", "Children's")
# The stand-in says so little of a user's taste that a floor for the labels' signal would be met by chance alone.
LITTLE_SIGNAL = ("validate.users=returning", "validate.min_label_signal=0", "validate.min_coherence=0")


def write_stand_in(folder: Path) -> Path:
    rng = np.random.default_rng(4)
    pairs = [divmod(int(cell), FILMS) for cell in rng.permutation(USERS * FILMS)[:RATINGS]]
    ratings = [f"{u + 1},{i + 1},{1 + (u + i) % 5},{880_000_000 + 1_700 * k}" for k, (u, i) in enumerate(pairs)]
    genres = ["|".join(rng.choice(GENRES, 1 + i % 2, replace=False)) for i in range(FILMS + 1)]
    films = [f"{i},Film {i} ({1930 + i}),{genres[i]},k{i % 3}|k{i % 5},A story {i}." for i in range(1, FILMS + 1)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ratings.csv").write_text("user_id,item_id,rating,timestamp\n" + "\n".join(ratings) + "\n")
    (folder / "items.csv").write_text("item_id,title,genres,keywords,overview\n" + "\n".join(films) + "\n")
    with tarfile.open(folder / "posters.tar", "w") as tar:
        for item in range(1, FILMS + 1):
            poster = draw_cover(item % 6, item % 4, item % 3, rng)
            member = tarfile.TarInfo(f"{item}.jpg")
            member.size = len(poster)
            tar.addfile(member, io.BytesIO(poster))
    return folder


def test_from_the_import_to_the_same_scores_by_every_way(tmp_path: Path) -> None:
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    report = movielens_features(write_stand_in(tmp_path / "movielens"), data)
    assert report.lines[-1] == f"{FILMS} of {FILMS} items have a picture; 0 pictures are of no item"
    settings = [word for setting in (*LITTLE_SIGNAL, "embed.dimension=8") for word in ("--set", setting)]
    run = walk(workspace, data, *settings)
    assert run.returncode == 0, run.stdout + run.stderr

    models = Models(connect(f"sqlite:///{workspace / 'mlflow.db'}"), "mmctr")
    models.set_alias("champion", 1)
    package = local_package(models, models.version(1), workspace / "cache" / "models")
    ranker = load(package / "ranker.safetensors")
    assert [feature.name for feature in ranker.vocabulary.row] == ["hour_of_day", "day_of_week"]
    assert {"release_year", "genres"} <= {feature.name for feature in ranker.vocabulary.item}

    rows = RowStore.build(data / "test.parquet", tmp_path / "rows", encoder=read_features(package))
    trained: Any = score(ranker, rows, batch_size=4096)
    predict(data, tmp_path / "scores.parquet", models, workspace, PredictConfig())
    np.testing.assert_allclose(pq.read_table(tmp_path / "scores.parquet")["score"].to_numpy(), trained, atol=1e-6)

    columns = ["item_seq", "item_id", "hour_of_day", "day_of_week", "time_gap"]
    records = pq.read_table(data / "test.parquet", columns=columns).to_pylist()
    ids = pq.read_table(data / "item_ids.parquet")
    own = dict(zip(ids["id"].to_pylist(), ids["raw"].to_pylist(), strict=True))
    for record in records:  # a registered model is asked with MovieLens' own ids
        record |= {"item_id": own[record["item_id"]], "item_seq": [own[item] for item in record["item_seq"]]}
    answer = load_model(package.parents[1]).predict(pd.DataFrame(records))
    np.testing.assert_allclose(answer["probability"].to_numpy(), trained, atol=1e-6)
