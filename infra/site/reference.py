"""The pages of the reference that are generated from the code."""

import ast
import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import typer

from components.run_config import RunConfig
from components.settings import to_dict
from components.validate.config import ValidatePolicy
from components.validate.suite import RULES
from pipelines.cli import app
from pipelines.environment import Environment
from pipelines.presets import PRESETS
from pipelines.schedule.spec import ScheduleSpec


def commands() -> str:
    """Every command of `mmctr` with its help, arguments, options and examples."""
    lines = ["# Commands", "", "Generated from the command line's own help. Exit codes: 0 done, 1 failed, 2 wrong use."]
    for name, command in walk(typer.main.get_command(app), "mmctr"):
        words, examples = _help(command.help or "")
        lines += ["", f"## `{name}`", "", words]
        if examples:
            lines += ["", "```sh", *examples, "```"]
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            lines += ["", "| argument or option | meaning | default |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Each command that does something; groups are opened."""
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from walk(inner, f"{name} {word}")
    else:
        yield name, command


def _help(text: str) -> tuple[str, list[str]]:
    """The text without its examples, and the examples."""
    words, _, examples = re.sub(r"\s*\n\s*", " ", inspect.cleandoc(text)).partition(" Example")
    return words, re.findall(r"`([^`]+)`", examples)


def _parameter(parameter: Any) -> str:
    name = ", ".join(f"`{word}`" for word in parameter.opts)
    if parameter.param_type_name == "argument":
        name = f"`{parameter.name.upper()}`"
    default = parameter.default
    shown = "" if default in (None, False, ()) or callable(default) else f"`{default}`"
    if parameter.required:
        shown = "required"
    return f"| {name} | {_cell(getattr(parameter, 'help', '') or '')} | {shown} |"


@dataclasses.dataclass(frozen=True)
class Field:
    name: str
    default: Any
    allowed: str
    meaning: str
    heading: str


def configuration() -> str:
    """Every field of a run's config, with the comments of its dataclass."""
    lines = [
        "# Configuration",
        "",
        "A run is one complete config: a [preset](presets.md), changed field by field with `--set`, for example "
        "`--set train.batch_size=4096`. A list is written `--set model.deep_widths=256,128`. A wrong field or value is "
        "refused before anything starts. The defaults below are those of the dataclasses; presets change some.",
    ]
    sections = {name: hint for name, hint in typing.get_type_hints(RunConfig).items() if dataclasses.is_dataclass(hint)}
    names = [field for field in fields_of(RunConfig) if field.name not in (*sections, "preset")]
    lines += ["", "## Names", "", *_table(names, "")]
    for section, cls in sections.items():
        fields = fields_of(typing.cast(type, cls))
        lines += ["", f"## `{section}`", "", inspect.cleandoc(cls.__doc__ or "")]
        for heading, headed in groupby(fields, key=lambda field: field.heading):
            lines += ["", *([f"**{heading}**", ""] if heading else []), *_table(headed, f"{section}.")]
    return "\n".join(lines) + "\n"


def _table(fields: Iterable[Field], prefix: str) -> list[str]:
    lines = ["| field | default | type or choices | meaning |", "|---|---|---|---|"]
    for field in fields:
        default = "required" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        lines.append(f"| `{prefix}{field.name}` | {default} | {field.allowed} | {_cell(field.meaning)} |")
    return lines


def environments() -> str:
    """Every field of an environment's and of a schedule's file."""
    lines = [
        "# Environments and schedules",
        "",
        "An environment is a file under `infra/environments/` that describes one cluster: see "
        "[Kubeflow](../how-to/kubeflow.md). A schedule is a file under `infra/schedules/`: see "
        "[schedules](../how-to/schedules.md).",
    ]
    for title, cls in {"An environment": Environment, "A schedule": ScheduleSpec}.items():
        lines += ["", f"## {title}", "", inspect.cleandoc(cls.__doc__ or ""), "", *_table(fields_of(cls), "")]
        for name, inner in dataclasses_in(cls):
            lines += ["", f"### `{name}`", "", inspect.cleandoc(inner.__doc__ or ""), "", *_table(fields_of(inner), "")]
    return "\n".join(lines) + "\n"


def dataclasses_in(cls: type, prefix: str = "") -> Iterator[tuple[str, type]]:
    """The dataclasses that the fields of a dataclass hold, by the names of those fields."""
    for name, hint in typing.get_type_hints(cls).items():
        for inner in (hint, *typing.get_args(hint)):
            if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                yield f"{prefix}{name}", inner
                yield from dataclasses_in(inner, f"{prefix}{name}.")


def fields_of(cls: type) -> list[Field]:
    """The fields of a dataclass with what its source says of them: a comment behind a field describes it, a comment on
    a line of its own heads the fields that follow."""
    source = inspect.getsource(cls)
    lines = source.splitlines()
    hints = typing.get_type_hints(cls)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.ClassDef)
    found, heading, last = [], "", tree.lineno
    for node in tree.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            last = max(last, node.end_lineno or 0) if isinstance(node, ast.Expr) else last
            continue
        above = [line.strip() for line in lines[last : node.lineno - 1]]
        if comments := [line.lstrip("# ") for line in above if line.startswith("#")]:
            heading = " ".join(comments)
        last = node.end_lineno or node.lineno
        _, _, comment = lines[last - 1][node.end_col_offset or 0 :].partition("#")
        name = node.target.id
        found.append(Field(name, defaults[name], _type(hints[name]), comment.strip(), heading))
    return found


def _type(hint: Any) -> str:
    """A type in words; a choice is the list of what may be chosen."""
    choices = typing.get_args(hint)
    if type(None) in choices:
        return f"{_type(choices[0])}, or none"
    if dataclasses.is_dataclass(hint):
        return "several fields, see below"
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"list of {_type(typing.get_args(hint)[0])}"
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}.get(hint, str(hint))


def presets() -> str:
    """Every preset with what it changes."""
    lines = [
        "# Presets",
        "",
        "A preset is a whole run by name: `mmctr run --preset NAME`. Listed is what differs from the "
        "[defaults](config.md), which are the 1st-place solution of the challenge.",
    ]
    default = to_dict(RunConfig(""))
    for name, make in PRESETS.items():
        lines += ["", f"## `{name}`", "", inspect.cleandoc(make.__doc__ or "")]
        values = to_dict(make())
        changes = [
            f"| `{section}.{field}` | `{value!r}` | `{default[section][field]!r}` |"
            for section, inner in values.items()
            if isinstance(inner, dict)
            for field, value in inner.items()
            if value != default[section][field]
        ]
        if changes:
            lines += ["", "| field | here | default |", "|---|---|---|", *changes]
    return "\n".join(lines) + "\n"


def validation() -> str:
    """Every rule that a dataset must pass."""
    policy = ValidatePolicy()
    lines = [
        "# Rules of validation",
        "",
        "`validate` asks these before anything expensive starts. **stop** ends the run; **quarantine** moves the rows "
        "aside and goes on while they are few (`validate.max_quarantined`); **warn** goes on and tells the reviewer. A "
        "run changes a limit with `--set validate.FIELD=VALUE` and what a rule does with "
        "`--set validate.severities=RULE=warn`.",
    ]
    for table in dict.fromkeys(rule.table for rule in RULES):
        lines += ["", f"## {table}", "", "| rule | good data | limits | when it fails | why |", "|---|---|---|---|---|"]
        for rule in RULES:
            if rule.table == table:
                limits = ", ".join(
                    f"`{name}` {policy.limit(name):g}"
                    for side in ("low", "high", "mostly")
                    if isinstance(name := getattr(rule.check, side, None), str)
                )
                lines.append(f"| `{rule.name}` | {_cell(rule.what)} | {limits} | {rule.severity} | {_cell(rule.why)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").strip()


PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/config.md": configuration,
    "reference/environments.md": environments,
    "reference/presets.md": presets,
    "reference/validation.md": validation,
}
