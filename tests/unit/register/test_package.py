"""The model package: complete, hashed, and a program that scores as the ranker does."""

import itertools
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.errors import StepError
from components.packages.format import ENCODER, FILES, package_hash
from components.register import export as room
from components.register.export import export
from components.register.package import build_package
from components.schema.fitted import FEATURES
from components.settings import to_dict
from components.storage.files import read_json
from model import checkpoint
from model.config import ModelConfig
from model.ranker import Ranker
from tests.services.candidate import ITEMS, TINY, make_candidate, tiny_ranker


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return tiny_ranker()


def build(root: Path) -> tuple[Path, str]:
    candidate = make_candidate(root / "candidate")
    package = root / "package"
    return package, build_package(candidate.made, to_dict(candidate.config), package)


WITHOUT_SPACE = """
import resource, sys
from components.register.export import export
from tests.services.candidate import tiny_ranker
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    export(tiny_ranker(), __import__("pathlib").Path(sys.argv[1]))
except OSError as error:
    print("told:", error)
"""


def test_a_program_that_does_not_fit_on_the_disk_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "ranker.pt2"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SPACE, str(path)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-600:]
    assert done.stdout.startswith("told: [Errno 27] File too large: ")
    assert list(tmp_path.iterdir()) == []


def test_a_package_holds_all_that_was_promised(tmp_path: Path) -> None:
    package, digest = build(tmp_path)
    assert {path.name for path in package.iterdir()} == {*FILES, ENCODER, FEATURES}
    assert digest == package_hash(package)
    assert read_json(package / "config.json")["preset"] == "tiny"
    assert torch.equal(checkpoint.load(package / "ranker.safetensors").table.codes_NX, tiny_ranker().table.codes_NX)


@pytest.mark.parametrize("name", FILES)
def test_the_hash_notices_every_file(tmp_path: Path, name: str) -> None:
    for file in FILES:
        (tmp_path / file).write_text(file)
    before = package_hash(tmp_path)
    (tmp_path / name).write_text("changed")
    assert package_hash(tmp_path) != before
    (tmp_path / name).unlink()
    with pytest.raises(StepError, match=f"has no {name}"):
        package_hash(tmp_path)


def test_a_step_that_did_not_finish_is_named(tmp_path: Path) -> None:
    candidate = make_candidate(tmp_path / "candidate")
    (tmp_path / "candidate" / "evaluation" / "metrics.json").unlink()
    with pytest.raises(StepError, match=r"evaluation/metrics.json is missing"):
        build_package(candidate.made, to_dict(candidate.config), tmp_path / "package")


@pytest.mark.parametrize(
    "config",
    [TINY, replace(TINY, mask="inverted"), replace(TINY, interest="recency", heads=2)],
    ids=["right", "inverted", "recency"],
)
def test_the_program_scores_histories_of_any_width_that_is_read(config: ModelConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    ranker = Ranker(config, tiny_ranker().vocabulary, tiny_ranker().table).eval()
    export(ranker, tmp_path / "ranker.pt2")
    program = torch.export.load(str(tmp_path / "ranker.pt2")).module()
    for rows, width in itertools.product((1, 4), range(1, config.history_length + 1)):
        history_BL = torch.randint(ITEMS, (rows, width))
        inputs = (history_BL, torch.randint(1, ITEMS, (rows,)), torch.randint(11, (rows, 2)), torch.zeros(rows, 0))
        with torch.no_grad():
            torch.testing.assert_close(
                torch.sigmoid(program(*inputs)), torch.sigmoid(ranker(*inputs)), atol=1e-6, rtol=0
            )


def test_a_ranker_that_only_exports_at_full_width_is_exported_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checks, real = iter([AssertionError("Guard failed: history_BL.size()[1] != 6")]), room._check_program

    def check(path: Path, ranker: Ranker) -> None:
        for failure in checks:  # the first time alone
            raise failure
        real(path, ranker)

    monkeypatch.setattr(room, "_check_program", check)
    with caplog.at_level("WARNING", logger="components.register.export"):
        export(tiny_ranker(), tmp_path / "ranker.pt2")
    assert "pads histories to full width" in caplog.text
    assert (tmp_path / "ranker.pt2").is_file()


def test_the_program_holds_no_pickled_classes(ranker: Ranker, tmp_path: Path) -> None:
    export(ranker, tmp_path / "ranker.pt2")
    with zipfile.ZipFile(tmp_path / "ranker.pt2") as archive:
        for entry in archive.namelist():
            content = archive.read(entry)
            assert not (content[:1] == b"\x80" and content[-1:] == b"." and len(content) > 2), f"{entry} is a pickle"


def test_a_program_that_scores_otherwise_is_not_written(
    ranker: Ranker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PROGRAM_TOLERANCE", -1.0)
    with pytest.raises(StepError, match="away from the trained ranker for 1 rows of 1 items"):
        export(ranker, tmp_path / "ranker.pt2")
    assert list(tmp_path.iterdir()) == []
