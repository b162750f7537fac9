"""`mmctr init`: looks at files, proposes features.yaml, and says of what it is unsure and what looks wrong."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from components.dataset.importers.log.engine import Engine, text
from components.dataset.importers.log.source import Source, is_table, open_source
from components.dataset.importers.propose.columns import look
from components.dataset.importers.propose.features import Guess, guess_features
from components.dataset.importers.propose.preview import preview, settings_for
from components.dataset.importers.propose.roles import Roles, find_roles
from components.errors import StepError

_PICTURES = (".jpg", ".jpeg", ".png")
_MEMORY_MB = 1000


@dataclass(frozen=True)
class Proposal:
    text: str  # of features.yaml
    log: Path
    items: Path | None
    covers: Path | None
    unsure: tuple[str, ...]
    suspicious: tuple[str, ...]
    rows: tuple[dict[str, str], ...]  # a few, as the model will see them: column -> text
    problem: str  # why there are none


def propose(paths: list[Path]) -> Proposal:
    found, folders = _tables(paths)
    with tempfile.TemporaryDirectory(prefix="mmctr-init-") as folder:
        engine = Engine(Path(folder), _MEMORY_MB)
        try:
            tables = [look(engine, _open(engine, path), f"table_{number}") for number, path in enumerate(found)]
            filled = [table for table in tables if table.rows]
            if not filled:
                raise StepError(f"{found[0]} has no rows")
            roles = find_roles(engine, filled, bool(folders))
            guesses = guess_features(engine, roles)
            document = _document(roles, guesses, bool(folders))
            rows, problem = _preview(engine, roles, document, Path(folder))
        finally:
            engine.close()
    covers = folders[0] if folders and roles.items is not None else None
    unsure = [*roles.unsure, *(f"{guess.column}: {guess.why}" for guess in guesses if guess.kind and _doubtful(guess))]
    if len(folders) > 1:
        unsure.append(f"pictures lie in {len(folders)} folders, and {folders[0]} is taken")
    suspicious = [f"{guess.column}: {guess.why}" for guess in guesses if guess.suspicious]
    items = roles.items.path if roles.items is not None else None
    return Proposal(document, roles.log.path, items, covers, tuple(unsure), tuple(suspicious), tuple(rows), problem)


def _preview(engine: Engine, roles: Roles, document: str, folder: Path) -> tuple[list[dict[str, str]], str]:
    (folder / "features.yaml").write_text(document)
    log = folder / "log.parquet"
    engine.run(f"COPY {roles.log.view} TO {text(str(log))} (FORMAT parquet)")
    try:
        return preview(settings_for(folder, log, roles.items.path if roles.items else None)), ""
    except StepError as error:
        return [], str(error).replace(str(log), str(roles.log.path))


def _tables(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Tables, and folders of pictures, among these paths and one level below those that are folders."""
    tables: list[Path] = []
    pictures: list[Path] = []
    for path in paths:
        if not path.exists():
            raise StepError(f"{path} is not there: give the folder or the files of the log, the items and the covers")
        for inner in [path, *(sorted(path.iterdir()) if path.is_dir() else [])]:
            if inner.is_dir() and any(file.suffix.lower() in _PICTURES for file in inner.iterdir()):
                pictures.append(inner)
            elif is_table(inner):
                tables.append(inner)
            elif inner.is_dir() and inner not in paths and any(map(is_table, inner.iterdir())):
                tables.append(inner)  # one table in several files
    if not tables:
        raise StepError(f"{paths[0]} holds no Parquet and no CSV file: give the log, and the items if there are any")
    return list(dict.fromkeys(tables)), pictures


def _open(engine: Engine, path: Path) -> Source:
    return open_source(engine, path, "each table")


def _doubtful(guess: Guess) -> bool:
    return (bool(guess.why) and not guess.why[0].isdigit()) or "order counts" in guess.why


def _document(roles: Roles, guesses: list[Guess], covers: bool) -> str:
    lines = [
        '# Proposed by `mmctr init`. Read it before you use it: docs, "Features of your own".',
        "# A line that begins with # is left out.",
        "log:  # columns of the files, read by `mmctr import log`",
    ]
    lines += [f"  {role}: {_quoted(column)}" for role, column in _roles(roles)]
    if roles.columns.label is None:
        lines.append("  # label: the column that is 1 for a click and 0 otherwise; without it each row is a click")
    lines.append("features:" if any(guess.kind for guess in guesses) else "features: []")
    for guess in guesses:
        comment = f"  # {guess.why}" if guess.why else ""
        kind = guess.kind or "category"
        entry = f"{{name: {_quoted(guess.column)}, of: {guess.of}, kind: {kind}}}"
        lines.append(f"  - {entry}{comment}" if guess.kind else f"  # - {entry}{comment}")
    if any(guess.kind == "text" for guess in guesses):  # then no other text and no picture is read unless it is named
        lines.append("  - {name: item_title, of: item, kind: text}  # the title, or the id where there is none")
        if covers:
            lines.append("  - {name: covers, of: item, kind: image}")
    lines.append("  # - {name: hour_of_day, of: row, kind: number, encoding: buckets}  # made of the time, in UTC")
    lines.append("  # - {name: day_of_week, of: row, kind: category}  # 1 is Monday")
    return "\n".join(lines) + "\n"


def _roles(roles: Roles) -> list[tuple[str, str]]:
    given = {**roles.columns.of_log, **roles.columns.of_items, "item": roles.columns.item}
    if roles.columns.item_table_id is not None:
        given["item_table_id"] = roles.columns.item_table_id
    return list(given.items())


def _quoted(column: str) -> str:
    """As YAML reads it as a text."""
    plain = column.replace("_", "").isalnum() and not column[0].isdigit() and column.lower() not in _WORDS_OF_YAML
    return column if plain else "'" + column.replace("'", "''") + "'"


_WORDS_OF_YAML = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
