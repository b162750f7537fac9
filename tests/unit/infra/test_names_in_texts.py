"""Every command, option, field and file that a text, a comment or a message names exists."""

import dataclasses
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from components.run_config import RunConfig
from infra.site.reference import PAGES
from pipelines.cli import app

ROOT = Path(__file__).parents[3]
FOLDERS = "model|components|studies|pipelines|infra|benchmarks|tests|docs"
SOURCES = FOLDERS.replace("tests|", "")  # tests make up names that are wrong on purpose
TEXTS = rf"(?:{SOURCES})/.*\.(?:py|md|yaml|html|j2)|[A-Z]+\.md|Makefile|\.ci/run|\.github/.*|\.devcontainer/.*"
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
GENERATED = {f"docs/{page}" for page in PAGES}


def problems(text: str) -> Iterator[str]:
    """What a text names and is not there."""
    for target in re.findall(r"`make ([a-z][a-z0-9-]*)|^make ([a-z][a-z0-9-]*)", text, re.MULTILINE):
        if (name := target[0] or target[1]) not in TARGETS:
            yield f"make {name}"
    blocks = "\n".join(re.findall(r"^```sh[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    for line in re.findall(r"`(mmctr [^`\n]+)`", text) + re.findall(r"^mmctr [^\n]+", blocks, re.MULTILINE):
        yield from _command(line)
    text = text.replace("section.field", "").replace("validate.FIELD", "")
    for section, field in re.findall(r"--set[ =]\"?([a-z]+)\.([a-z0-9_]+)", text):
        yield from _field(section, field)
    for section, field in re.findall(r"`(model|train|validate|embed|evaluate|gate)\.([a-z0-9_]+)=", text):
        yield from _field(section, field)
    for path in re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w\.(?:py|md|yaml|json|svg|html|css|j2))\b", text):
        if not (ROOT / path).exists() and path not in GENERATED and "-DATE." not in path:
            yield path


def _field(section: str, field: str) -> Iterator[str]:
    names = {f.name for f in dataclasses.fields(getattr(RunConfig(""), section, RunConfig("")))}
    if not hasattr(RunConfig(""), section) or field not in names:
        yield f"--set {section}.{field}"


def _command(line: str) -> Iterator[str]:
    """The command's words down to its first argument, and its options."""
    try:
        words = shlex.split(line.split(" · ")[0], comments=True)[1:]
    except ValueError:  # a template or half a line
        return
    command: Any = typer.main.get_command(app)
    path = "mmctr"
    while words and hasattr(command, "commands") and re.fullmatch(r"[a-z]+(-[a-z]+)*", words[0]):
        path = f"{path} {words[0]}"
        if words[0] not in command.commands:
            yield path
            return
        command, words = command.commands[words[0]], words[1:]
    if hasattr(command, "commands"):
        return
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if re.match(r"--[a-z]", word) and (option := word.split("=")[0]) not in {*known, "--help"}:
            yield f"{path} {option}"


def texts() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [
        path
        for path in listed.splitlines()
        if re.fullmatch(TEXTS, path) and (ROOT / path).is_file() and not path.endswith(Path(__file__).name)
    ]


@pytest.mark.parametrize("path", texts())
def test_what_a_text_names_is_there(path: str) -> None:
    text = (ROOT / path).read_text()
    if path.startswith("benchmarks/"):  # a benchmark names the file that it writes, which may be measured later
        text = re.sub(r"benchmarks/results/[\w./-]+", "", text)
    assert list(problems(text)) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("run `make nothing` first", "make nothing"),
        ("`mmctr reviev list`", "mmctr reviev"),
        ("`mmctr review lsit`", "mmctr review lsit"),
        ("```sh\nmmctr run --datta data  # a comment\n```", "mmctr run --datta"),
        ("try --set train.batchsize=1", "--set train.batchsize"),
        ("try --set trian.batch_size=1", "--set trian.batch_size"),
        ("`embed.text_weigths=x`", "--set embed.text_weigths"),
        ("see docs/nothing.md", "docs/nothing.md"),
        ("components/train/gone.py does it", "components/train/gone.py"),
    ],
)
def test_a_wrong_name_is_found(text: str, missing: str) -> None:
    assert list(problems(text)) == [missing]


def test_a_right_name_is_left_alone() -> None:
    text = "`make run`, `mmctr run --set train.seed=2`, `mmctr review approve 7 --by Ada`, docs/reference/commands.md"
    assert list(problems(text)) == []
