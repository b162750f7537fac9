"""What a request asks of a version, apart from the version: so that a second version can be asked the same, and the
request log can say what it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from components.schema.encoder import Column, FittedFeature
from components.serve.version import Scores, ServedVersion


class Asked(Protocol):
    @property
    def item(self) -> Sequence[Any]:
        """As the request names them: by numbers, or by a team's own ids."""

    @property
    def histories(self) -> Sequence[Sequence[Any]]:
        """One for all rows, or one a row."""

    def __call__(self, version: ServedVersion) -> Scores: ...

    def columns(self, features: Sequence[FittedFeature]) -> Mapping[str, Column]:
        """A raw value for each row, by feature."""


@dataclass(frozen=True)
class OneUser:
    """The candidates of one user, with a list for each feature of a row and one value for each feature of the user."""

    history: Sequence[Any]
    item: Sequence[Any]
    given: Mapping[str, Any]

    @property
    def histories(self) -> Sequence[Sequence[Any]]:
        return [self.history]

    def __call__(self, version: ServedVersion) -> Scores:
        return version.rank(self.history, self.item, self.given)

    def columns(self, features: Sequence[FittedFeature]) -> Mapping[str, Column]:
        return {
            feature.name: [self.given[feature.name]] * len(self.item)
            if feature.of == "user"
            else self.given[feature.name]
            for feature in features
        }


@dataclass(frozen=True)
class Rows:
    """Rows of any users."""

    histories: Sequence[Sequence[Any]]
    item: Sequence[Any]
    given: Sequence[Mapping[str, Any]]

    def __call__(self, version: ServedVersion) -> Scores:
        return version.score(self.histories, self.item, self.given)

    def columns(self, features: Sequence[FittedFeature]) -> Mapping[str, Column]:
        return {feature.name: [row[feature.name] for row in self.given] for feature in features}


@dataclass(frozen=True)
class Table:
    """Rows of any users, column by column."""

    histories: Sequence[Sequence[Any]]
    item: Sequence[Any]
    given: Mapping[str, Column]

    def __call__(self, version: ServedVersion) -> Scores:
        return version.score_table(self.histories, self.item, self.given)

    def columns(self, features: Sequence[FittedFeature]) -> Mapping[str, Column]:
        return {feature.name: self.given[feature.name] for feature in features}
