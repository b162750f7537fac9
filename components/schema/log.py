"""The section `log` of features.yaml: which columns of a team's own files `mmctr import log` reads, and as what."""

from dataclasses import dataclass, fields
from typing import Any

from components.errors import StepError


@dataclass(frozen=True)
class LogColumns:
    """Names of columns. Title, tags and cover are columns of the item table, all others of the log."""

    user: str
    item: str
    time: str
    label: str | None = None  # without it, each row of the log is a click
    weight: str | None = None
    split: str | None = None  # train, valid or test; without it the log is split by time
    title: str | None = None
    tags: str | None = None
    cover: str | None = None  # the name of the item's file in the folder of covers
    item_table_id: str | None = None  # the item's id in the item table, where it has another name than `item`

    @property
    def of_log(self) -> dict[str, str]:
        """Role -> column, of those columns of the log that are declared."""
        return self._declared("user", "item", "time", "label", "weight", "split")

    @property
    def of_items(self) -> dict[str, str]:
        return {"item": self.item_table_id or self.item, **self._declared("title", "tags", "cover")}

    def _declared(self, *roles: str) -> dict[str, str]:
        return {role: column for role in roles if (column := getattr(self, role)) is not None}


_ROLES = tuple(field.name for field in fields(LogColumns))
_NEEDED = ("user", "item", "time")


def read_log_columns(file: str, section: Any) -> LogColumns:
    if not isinstance(section, dict):
        raise StepError(f"{file}: log = {section!r:.60}; must be a mapping such as `user: visitor_id`")
    for role, column in section.items():
        if role not in _ROLES:
            raise StepError(f"{file}: log has the field {role!r:.60}; it can have {', '.join(_ROLES)}")
        if not isinstance(column, str) or not column.strip():
            raise StepError(f"{file}: log.{role} = {column!r:.60}; must be the name of a column")
    for role in _NEEDED:
        if role not in section:
            raise StepError(f"{file}: log.{role} is missing; must be the name of the column with the {role}")
    columns = LogColumns(**section)
    for part in (columns.of_log, columns.of_items):
        for role, column in part.items():
            other = next(name for name, value in part.items() if value == column)
            if other != role:
                raise StepError(
                    f"{file}: log.{role} = {column!r}, and so is log.{other}; each needs a column of its own"
                )
    return columns
