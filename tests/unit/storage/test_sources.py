"""Which source files a cache's key covers: all that the named modules import, also through each other."""

import shutil
from pathlib import Path

import pytest

from components.storage.sources import ROOT, code_key, imported_files


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project's packages, in which a test may change a file."""
    for package in ("components", "model", "studies"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("modules", "changed", "covered"),
    [
        pytest.param(("components.embed.step",), "components/embed/step.py", True, id="the-module-itself"),
        pytest.param(("components.embed.step",), "components/dataset/images.py", True, id="of-another-room"),
        pytest.param(("components.embed.step",), "components/embed/__init__.py", True, id="its-package"),
        pytest.param(("components.batches.scoring",), "model/transformer.py", True, id="three-imports-away"),
        pytest.param(
            ("components.validate.step", "components.embed.step"),
            "components/embed/vision.py",
            True,
            id="of-the-second-module",
        ),
        pytest.param(("components.embed.step",), "components/report/page.py", False, id="not-imported"),
    ],
)
def test_the_key_follows_the_files_that_are_imported(
    project: Path, modules: tuple[str, ...], changed: str, covered: bool
) -> None:
    before = code_key(*modules, root=project)
    code_key.cache_clear()
    assert code_key(*modules, root=project) == before
    code_key.cache_clear()
    with (project / changed).open("a") as file:
        file.write("# changed\n")
    assert (code_key(*modules, root=project) != before) is covered


def test_every_form_of_import_is_followed(tmp_path: Path) -> None:
    sources = {
        "one/__init__.py": "",
        "one/start.py": "import json\nimport one.plain\nfrom one import name\nfrom .near import VALUE\n"
        "def later():\n    from one.inside.deep import thing\n",
        "one/plain.py": "",
        "one/name.py": "",
        "one/near.py": "VALUE = 1\n",
        "one/apart.py": "",
        "one/inside/__init__.py": "from ..above import VALUE\n",
        "one/inside/deep.py": "import one.start\n",
        "one/above.py": "VALUE = 1\n",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = [path.relative_to(tmp_path).as_posix() for path in imported_files("one.start", root=tmp_path)]
    assert found == sorted(set(sources) - {"one/apart.py"})


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"'components\.gone\.step' is no module below"):
        imported_files("components.gone.step")
