"""Documents with generated tables: the text between two markers is replaced, everything else stays as it is."""

from collections.abc import Sequence
from pathlib import Path

from components.errors import StepError
from components.storage.files import atomic_path


def markers(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def filled(text: str, name: str, lines: Sequence[str], document: Path) -> str:
    """`text` with `lines` between the markers of `name`."""
    begin, end = markers(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise StepError(
            f"{document} has no place for the table {name!r}: it is marked {begin} and {end}, once and in turn"
        )
    before, rest = text.split(begin)
    return "\n".join([before + begin, *lines, end + rest.split(end)[1]])


def write_document(path: Path, text: str) -> None:
    with atomic_path(path) as scratch:
        scratch.write_text(text)
