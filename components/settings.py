"""How a config, a frozen dataclass, is read from JSON, overridden from the command line, saved and hashed."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from components.storage.files import sha256_json

C = TypeVar("C")


def to_dict(config: Any) -> dict[str, Any]:
    return dataclasses.asdict(config)


def config_hash(config: Any) -> str:
    return sha256_json(to_dict(config))


def from_dict(cls: type[C], values: dict[str, Any], where: str = "") -> C:
    """Builds a config from what JSON gave, refusing unknown fields and wrong types by name."""
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(
            f"{where}{unknown[0]}: no such field; {where.rstrip('.') or 'the config'} has {', '.join(sorted(names))}"
        )
    return cls(**{name: _convert(f"{where}{name}", value, hints[name]) for name, value in values.items()})


def with_overrides(config: C, overrides: list[str]) -> C:
    """Applies `train.batch_size=4096`-like settings; texts become what the field's type says."""
    values = to_dict(config)
    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator:
            raise ValueError(f"--set {override!r}: must look like field=value, for example train.batch_size=4096")
        *parents, leaf = path.strip().split(".")
        target: Any = values
        for depth, parent in enumerate(parents):
            if not isinstance(target.get(parent), dict):
                raise ValueError(
                    f"--set {override!r}: no such section {'.'.join(parents[: depth + 1])!r}"
                    f"{closest(parent, [name for name, value in target.items() if isinstance(value, dict)])}"
                )
            target = target[parent]
        if leaf not in target:
            raise ValueError(f"--set {override!r}: no such field{closest(leaf, target)}")
        if isinstance(target[leaf], dict):
            raise ValueError(f"--set {override!r}: {path} is a section; name one of {', '.join(sorted(target[leaf]))}")
        target[leaf] = _added(target[leaf], text) if isinstance(target[leaf], (tuple, list)) else _Text(text.strip())
    return from_dict(type(config), values)


def closest(name: str, names: Iterable[str]) -> str:
    """The end of a message about a name that does not exist: the most similar one, then all that exist."""
    there = sorted(names)
    likely = difflib.get_close_matches(name, there, n=1)
    return (f"; did you mean {likely[0]!r}? There" if likely else "; there") + f" is {', '.join(there)}"


def _added(before: Sequence[Any], text: str) -> Any:
    """A list of `name=value` entries grows by name, so that an option may be repeated; any other list is replaced."""
    parts = [part.strip() for part in text.strip().strip("()[]").split(",") if part.strip()]
    if not parts or not all("=" in part for part in parts):
        return [_Text(part) for part in parts]
    named = {str(part).partition("=")[0]: part for part in before}
    return [*({**named, **{part.partition("=")[0]: _Text(part) for part in parts}}).values()]


class _Text(str):
    """A value from the command line, still to be parsed by the type of its field."""


def _convert(where: str, value: Any, hint: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_dict(hint, value, f"{where}.")  # type: ignore[arg-type]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, _Text) and value.lower() in ("none", "null", "")):
            return None
        return _convert(where, value, next(a for a in args if a is not type(None)))
    if origin is tuple:
        return _convert_tuple(where, value, args)
    if origin is typing.Literal:
        return str(value) if isinstance(value, str) else value  # the config's own check names what is allowed
    if hint in (bool, int, float, str):
        return _convert_scalar(where, value, hint)
    raise TypeError(f"{where}: configs hold no {hint}")


def _convert_tuple(where: str, value: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ValueError(f"{where} = {value!r}: must be a list")
    hints = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
    if len(hints) != len(value):
        raise ValueError(f"{where} = {list(value)!r}: must have {len(hints)} values")
    return tuple(_convert(f"{where}[{i}]", v, h) for i, (v, h) in enumerate(zip(value, hints, strict=True)))


def _convert_scalar(where: str, value: Any, hint: type) -> Any:
    if isinstance(value, _Text):
        if hint is bool:
            if value.lower() not in ("true", "false"):
                raise ValueError(f"{where} = {str(value)!r}: must be true or false")
            return value.lower() == "true"
        try:
            return hint(str(value))
        except ValueError:
            raise ValueError(f"{where} = {str(value)!r}: must be {_NAMES[hint]}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{where} = {value!r}: must be {_NAMES[hint]}")
    return value


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
