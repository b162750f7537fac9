"""What an importer says when it is done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImportReport:
    lines: tuple[str, ...]  # what was found or made
    problems: tuple[str, ...] = ()  # what keeps the data from being used, each with its remedy
