"""The repository's own data: what docs/how-to/own-data.md says of it, and that it can be had without an account."""

import re
from pathlib import Path

from components.dataset.sample import SIZES, write_sample
from components.ingest.manifest import md5_file
from components.ingest.step import ingest
from components.storage.files import read_json

ROOT = Path(__file__).parents[3]
ROWS = {"oracle:": "oracle", "the same": "oracle_blind_to_pools", "similarity": "content", "popularity:": "popularity"}


def test_the_remote_in_the_repository_holds_the_sample_and_is_small(tmp_path: Path) -> None:
    url = f"file://{ROOT}"
    lineage = ingest(url, "HEAD", tmp_path / "out", tmp_path / "cache")
    assert lineage.remote == "infra/dvc-remote"
    assert lineage.size < 15 * 2**20
    assert sum(p.stat().st_size for p in (ROOT / "infra" / "dvc-remote").rglob("*") if p.is_file()) < 15 * 2**20


def test_the_sample_can_be_made_again_byte_by_byte(tmp_path: Path) -> None:
    ingest(f"file://{ROOT}", "HEAD", tmp_path / "out", tmp_path / "cache")
    write_sample(tmp_path / "made", SIZES["sample"])
    for path in sorted((tmp_path / "made").iterdir()):
        assert md5_file(path) == md5_file(tmp_path / "out" / path.name), path.name


def test_the_figures_in_the_docs_are_those_of_the_sample(tmp_path: Path) -> None:
    ingest(f"file://{ROOT}", "HEAD", tmp_path / "out", tmp_path / "cache")
    truth = read_json(tmp_path / "out" / "truth.json")["splits"]
    text = (ROOT / "docs/how-to/own-data.md").read_text()
    for start, name in ROWS.items():
        (row,) = re.findall(rf"^\| {start}[^|]*\|(.+)\|$", text, re.MULTILINE)
        written = [float(cell) for cell in row.split("|")]
        assert written == [round(truth[split]["auc"][name], 3) for split in ("train", "valid", "test")], name
