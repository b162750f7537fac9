"""The documentation site: what is generated says all there is, and a page needs nothing from the network."""

import dataclasses
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from components.dataset.sample.spec import SampleSpec
from components.run_config import RunConfig
from components.validate.suite import RULES
from infra.site.hooks import ROOT, with_links_of_the_site
from infra.site.reference import PAGES, dataclasses_in, fields_of, walk
from pipelines.cli import app
from pipelines.environment import Environment
from pipelines.presets import PRESETS
from pipelines.schedule.spec import ScheduleSpec

RUN = [RunConfig, *(cls for _, cls in dataclasses_in(RunConfig))]
ENVIRONMENT = [Environment, *(cls for _, cls in dataclasses_in(Environment))]


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    built = build(ROOT / "mkdocs.yml", out)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


def test_no_page_loads_anything_from_the_network(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"([^\"]+)", text)
        loaded += re.findall(r"<link[^>]+rel=\"(?:stylesheet|preconnect|icon)\"[^>]*href=\"([^\"]+)", text)
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text(), style


def test_every_block_of_commands_is_a_block_on_its_page(site: Path) -> None:
    for page in sorted(site.rglob("*.html")):
        assert "```" not in re.sub(r"<[^>]+>", "", page.read_text()), page


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a](nowhere.md)", "nowhere.md"),
        ("[a](../how-to/review.md#no-such-heading)", "no-such-heading"),
        ("![a](../images/none.png)", "none.png"),
    ],
    ids=["page", "anchor", "picture"],
)
def test_a_broken_link_fails_the_build(text: str, complaint: str, tmp_path: Path) -> None:
    """Checked on a copy of the site with one more sentence in one page."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(ROOT / "docs"), str(tmp_path / "docs")], check=True)
    page = tmp_path / "docs/explanation/costs.md"
    page.write_text(f"{page.read_text()}\n{text}\n")
    config = (ROOT / "mkdocs.yml").read_text()
    config = config.replace("docs_dir: docs", f"docs_dir: {tmp_path / 'docs'}")
    config = config.replace("infra/site/hooks.py", str(ROOT / "infra/site/hooks.py"))
    (tmp_path / "mkdocs.yml").write_text(config)
    built = build(tmp_path / "mkdocs.yml", copy)
    assert built.returncode != 0
    assert complaint in built.stdout + built.stderr


def test_the_reference_names_every_command_option_field_rule_and_preset() -> None:
    commands, config = PAGES["reference/commands.md"](), PAGES["reference/config.md"]()
    for name, command in walk(typer.main.get_command(app), "mmctr"):
        part = commands.split(f"## `{name}`\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.name != "help":
                assert parameter.name.upper() in part or all(f"`{word}`" in part for word in parameter.opts), name
    for section in dataclasses.fields(RunConfig):
        value = getattr(RunConfig(""), section.name)
        if dataclasses.is_dataclass(value):
            assert all(f"`{section.name}.{field.name}`" in config for field in dataclasses.fields(value))
    environments = PAGES["reference/environments.md"]()
    for cls in (*ENVIRONMENT, ScheduleSpec):
        assert all(f"| `{field.name}` |" in environments for field in dataclasses.fields(cls)), cls
    assert all(f"`{rule.name}`" in PAGES["reference/validation.md"]() for rule in RULES)
    assert all(f"## `{name}`" in PAGES["reference/presets.md"]() for name in PRESETS)


@pytest.mark.parametrize("cls", [*RUN, *ENVIRONMENT, ScheduleSpec, SampleSpec], ids=lambda cls: cls.__name__)
def test_a_comment_says_what_each_field_of_a_config_means(cls: type) -> None:
    assert [field.name for field in fields_of(cls) if not field.meaning] == []


@dataclass(frozen=True)
class Sections:
    """Made up for a test."""

    # First: what comes first
    plain: int = 1  # says what it is
    choice: tuple[int, ...] = (1, 2)
    # Second
    other: str = "a"  # the other


def test_a_field_is_described_by_the_comment_behind_it_and_headed_by_the_one_above() -> None:
    found = [(field.name, field.allowed, field.meaning, field.heading) for field in fields_of(Sections)]
    assert found == [
        ("plain", "whole number", "says what it is", "First: what comes first"),
        ("choice", "list of whole number", "", "First: what comes first"),
        ("other", "text", "the other", "Second"),
    ]


@pytest.mark.parametrize(
    ("page", "link", "shown"),
    [
        ("index.md", "[a](docs/how-to/review.md#roles)", "[a](how-to/review.md#roles)"),
        ("explanation/training.md", "[a](../../benchmarks/README.md)", "[a](../project/benchmarks.md)"),
        ("project/decisions.md", "[a](docs/explanation/findings.md)", "[a](../explanation/findings.md)"),
        ("index.md", "[a](Makefile)", "a (`Makefile`)"),
        ("index.md", "[`model/`](model)", "`model/`"),
        ("index.md", "[a](https://example.com)", "[a](https://example.com)"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(page: str, link: str, shown: str) -> None:
    assert with_links_of_the_site(link, page) == shown
