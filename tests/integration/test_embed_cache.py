"""The vector cache under real conditions: a real S3 server, real kills, runs side by side."""

import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from components.embed.config import EmbedConfig
from components.embed.step import assemble, embed, encode_shard
from components.errors import StepError
from components.storage.objects import open_store
from tests.services.s3 import S3Server
from tests.unit.embed.dataset import write_dataset
from tests.unit.embed.tiny_encoders import save_tiny_bert, save_tiny_clip

pytestmark = pytest.mark.integration
NOBODY = Path("no-champion")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> EmbedConfig:
    bert, clip = (tmp_path_factory.mktemp(name) for name in ("bert", "clip"))
    return replace(
        EmbedConfig(dimension=8, text_batch=4, image_batch=4, flush_items=8, threads=1),
        text_encoder="bert",
        text_weights=str(save_tiny_bert(bert)),
        image_encoder="clip-vit",
        image_weights=str(save_tiny_clip(clip)),
    )


@pytest.fixture(params=["local", "s3"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "cache")
    bucket = request.getfixturevalue("bucket")
    request.getfixturevalue("as_writer")
    return f"s3://{bucket}/some/prefix"


def shards_of(cache: str, room: str) -> list[str]:
    return [name for name in open_store(cache).listing() if name.startswith(room)]


def test_the_cache_behaves_the_same_in_both_places(tmp_path: Path, tiny: EmbedConfig, cache: str) -> None:
    data = write_dataset(tmp_path / "data", items=20)
    cold = embed(data, NOBODY, tiny, cache, tmp_path / "cold")
    warm = embed(data, NOBODY, tiny, cache, tmp_path / "warm")
    assert [cold["cache"][m]["encoded"] for m in ("text", "image")] == [20, 20]
    assert [warm["cache"][m]["encoded"] for m in ("text", "image")] == [0, 0]
    assert len(shards_of(cache, "clip-vit")) == 3  # 20 items, 8 a shard: few files, each whole
    elsewhere = embed(data, NOBODY, tiny, tmp_path / "another-cache", tmp_path / "elsewhere")
    assert cold["item_info_sha256"] == warm["item_info_sha256"] == elsewhere["item_info_sha256"]


def test_a_damaged_shard_is_made_again(tmp_path: Path, tiny: EmbedConfig, cache: str) -> None:
    data = write_dataset(tmp_path / "data", items=20)
    before = embed(data, NOBODY, tiny, cache, tmp_path / "out")
    store, name = open_store(cache), shards_of(cache, "clip-vit")[1]
    broken = bytearray(store.get(name))
    broken[len(broken) // 3] ^= 4
    store.put(name, bytes(broken))
    after = embed(data, NOBODY, tiny, cache, tmp_path / "out")
    assert after["damaged_shards"] == [name]
    assert after["cache"]["image"]["encoded"] in (4, 8)  # what that shard held, and no more
    assert after["item_info_sha256"] == before["item_info_sha256"]
    assert embed(data, NOBODY, tiny, cache, tmp_path / "out")["damaged_shards"] == []


KILLED_AT_A_BATCH = """
import os, signal
from pathlib import Path
from components.embed.config import EmbedConfig
from components.embed.step import embed
from components.embed.vision import ImageEncoder

forward, batches = ImageEncoder.forward, []

def until_killed(self, pictures):
    batches.append(len(pictures))
    if len(batches) == 8:  # the first is the encoder measuring itself
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, pictures)

ImageEncoder.forward = until_killed
"""


def test_a_killed_run_leaves_what_it_flushed(tmp_path: Path, tiny: EmbedConfig, cache: str) -> None:
    data = write_dataset(tmp_path / "data", items=60)
    call = f"embed(Path({str(data)!r}), Path('none'), {tiny!r}, {cache!r}, Path({str(tmp_path / 'killed')!r}))"
    run = subprocess.run([sys.executable, "-c", f"{KILLED_AT_A_BATCH}\n{call}"], check=False)
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    kept = 8 * len(shards_of(cache, "clip-vit"))
    assert 8 <= kept <= 24
    report = encode_shard(data, tiny, cache, 0, 1)["modalities"]
    assert report["text"]["encoded"] == 0
    assert report["image"] == {**report["image"], "hits": kept, "encoded": 60 - kept}


def test_shards_at_once(tmp_path: Path, tiny: EmbedConfig, cache: str) -> None:
    data = write_dataset(tmp_path / "data", items=30)
    processes = not cache.startswith("s3://")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) if processes else ThreadPoolExecutor(6) as pool:
        # Each part twice: two runs that start together must not hurt each other either.
        jobs = [pool.submit(encode_shard, data, tiny, cache, shard, 3) for shard in (0, 0, 1, 1, 2, 2)]
        reports = [job.result() for job in jobs]
    manifest = assemble(data, NOBODY, tiny, cache, tmp_path / "together", reports)
    alone = embed(data, NOBODY, tiny, tmp_path / "another-cache", tmp_path / "alone")
    assert manifest["item_info_sha256"] == alone["item_info_sha256"]
    assert manifest["damaged_shards"] == []


@pytest.mark.usefixtures("as_writer")
def test_weights_come_from_an_s3_prefix(tmp_path: Path, tiny: EmbedConfig, bucket: str) -> None:
    data, store = write_dataset(tmp_path / "data", items=8), open_store(f"s3://{bucket}/weights/bert")
    for path in Path(tiny.text_weights).iterdir():
        store.upload(path.name, path)
    remote = replace(tiny, text_weights=f"s3://{bucket}/weights/bert")
    here = embed(data, NOBODY, tiny, tmp_path / "cache", tmp_path / "here")
    there = embed(data, NOBODY, remote, tmp_path / "cache", tmp_path / "there")
    assert there["encoders"]["text"]["id"] == here["encoders"]["text"]["id"]  # the same bytes are the same encoder
    assert there["cache"]["text"]["encoded"] == 0
    pinned = replace(remote, text_revision=here["encoders"]["text"]["revision"])
    assert embed(data, NOBODY, pinned, tmp_path / "fresh", tmp_path / "out")["cache"]["text"]["encoded"] == 8
    with pytest.raises(StepError, match="holds no weights"):
        embed(data, NOBODY, replace(tiny, text_weights=f"s3://{bucket}/nothing"), tmp_path / "fresh", tmp_path / "out")


@pytest.mark.usefixtures("as_writer")
def test_who_may_only_read_can_still_use_a_full_cache(
    tmp_path: Path, tiny: EmbedConfig, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = write_dataset(tmp_path / "data", items=8), f"s3://{bucket}/cache"
    embed(data, NOBODY, tiny, cache, tmp_path / "out")
    for name, value in s3.reader.environment(s3.endpoint).items():
        monkeypatch.setenv(name, value)
    assert embed(data, NOBODY, tiny, cache, tmp_path / "again")["cache"]["image"]["encoded"] == 0
    write_dataset(tmp_path / "data", items=9)
    with pytest.raises(StepError, match=r"S3 answered AccessDenied; the credentials may not do this"):
        embed(data, NOBODY, tiny, cache, tmp_path / "again")


@pytest.mark.usefixtures("as_writer")
def test_a_bucket_that_is_not_there_is_said(tmp_path: Path, tiny: EmbedConfig) -> None:
    data = write_dataset(tmp_path / "data", items=4)
    with pytest.raises(StepError, match=r"S3 answered NoSuchBucket; make the bucket"):
        embed(data, NOBODY, tiny, "s3://no-such-bucket/cache", tmp_path / "out")
