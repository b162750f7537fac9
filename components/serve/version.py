"""A registered version, loaded to be asked: its files held against its approval, its scores against its own example."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.batches.scoring import probabilities
from components.dataset.layout import HISTORY, ITEM
from components.errors import StepError
from components.packages.current_items import CurrentItems, with_current_items
from components.packages.fetch import local_package
from components.packages.scores import Mask
from components.predict.engines import EngineName
from components.predict.online import OnlineScorer, Whole
from components.schema.encoder import NUMBERED, Codes, Column, FeatureError, ItemIds, Numbers
from components.schema.fitted import read_features
from components.tracking.item_tables import TableEntry
from components.tracking.models import Models, Version
from components.tracking.pyfunc import scored_example

TOLERANCE = 1e-5  # of a probability, between this scorer and the version's own program


class WrongRequestError(ValueError):
    """What was asked does not fit the features of the version that answers."""


@dataclass(frozen=True)
class Scores:
    probability: npt.NDArray[np.float64]
    logit: npt.NDArray[np.float32]
    known: Mask

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Best first. By logits: probabilities close to 1 can be equal where their logits are not."""
        return np.argsort(-self.logit, kind="stable")


@dataclass(frozen=True)
class ServedVersion:
    number: int
    item_table: str  # which item table it has, as a hash
    scorer: OnlineScorer
    ids: ItemIds = NUMBERED  # how requests name items

    def rank(self, history: Sequence[Any], item: Sequence[Any], given: Mapping[str, Any]) -> Scores:
        """The scores of one user's candidates. `given` holds a list for each feature of a row, one value for each
        feature of the user, and for each feature of events a list as long as the history.
        """
        self._check_names(given)
        columns = {
            feature.name: [given[feature.name]] * len(item) if feature.of == "user" else given[feature.name]
            for feature in self.scorer.features.row
        }
        sizes = {ITEM: len(item)} | {
            name: len(column) if isinstance(column, list) else None for name, column in columns.items()
        }
        if None in sizes.values():
            name = next(name for name, size in sizes.items() if size is None)
            raise WrongRequestError(
                f"{name}: must be a list with a value for each candidate (given: {given[name]!r:.60})"
            )
        if len(set(sizes.values())) > 1:
            raise WrongRequestError(f"the lists must be of one length, and are {sizes}")
        events = {feature.name: [given[feature.name]] for feature in self.scorer.features.event}
        return self._scores([history], item, columns, events, "{feature}.{row}", "{feature}")

    def score(
        self, histories: Sequence[Sequence[Any]], item: Sequence[Any], given: Sequence[Mapping[str, Any]]
    ) -> Scores:
        """The scores of rows with a history each; rows that share one are scored together."""
        for row, values in enumerate(given):
            self._check_names(values, f"rows.{row}.")
        features, place = self.scorer.features, "rows.{row}.{feature}"
        columns, events = (
            {feature.name: [row[feature.name] for row in given] for feature in some}
            for some in (features.row, features.event)
        )
        return self._scores(histories, item, columns, events, place, place)

    def score_table(
        self, histories: Sequence[Sequence[Any]], item: Sequence[Any], given: Mapping[str, Column]
    ) -> Scores:
        """The same with a column for each feature, and with a history for each row or one for all."""
        self._check_names(given)
        features, place = self.scorer.features, "{feature}.{row}"
        columns, events = (
            {feature.name: given[feature.name] for feature in some} for some in (features.row, features.event)
        )
        return self._scores(histories, item, columns, events, place, place)

    def _scores(
        self,
        asked_histories: Sequence[Sequence[Any]],
        asked_items: Sequence[Any],
        columns: Mapping[str, Column],
        of_events: Mapping[str, Column],
        place: str,
        place_of_event: str,
    ) -> Scores:
        """`place` says how an answer names the value that does not fit."""
        try:
            item = self.ids.numbers(asked_items, ITEM)
            codes, numbers = self.scorer.features.rows(columns, len(item))
        except FeatureError as error:
            raise WrongRequestError(_told(error, place)) from None
        histories = [self._history(history, row, place_of_event) for row, history in enumerate(asked_histories)]
        try:
            events = self._events(histories, of_events)
        except FeatureError as error:
            raise WrongRequestError(_told(error, place_of_event)) from None
        if len(histories) == 1:
            logits = self.scorer.logits(histories[0], item, codes, numbers, events[0])
            return Scores(probabilities(logits), logits, self.scorer.knows(item))
        logits, rows_of = np.empty(len(item), dtype=np.float32), dict[tuple[Any, ...], list[int]]()
        for row, (history, its_events) in enumerate(zip(histories, events, strict=True)):
            rows_of.setdefault((history.tobytes(), *(block.tobytes() for block in its_events)), []).append(row)
        for rows in rows_of.values():
            first = rows[0]
            logits[rows] = self.scorer.logits(histories[first], item[rows], codes[rows], numbers[rows], events[first])
        return Scores(probabilities(logits), logits, self.scorer.knows(item))

    def _history(self, history: Sequence[Any], row: int, place: str) -> Whole:
        try:
            return self.ids.numbers(history, HISTORY, padded=True)
        except FeatureError as error:
            raise WrongRequestError(_told(error, f"{place.format(feature=HISTORY, row=row)}.{{row}}")) from None

    def _events(self, histories: Sequence[Whole], columns: Mapping[str, Column]) -> list[tuple[Codes, Numbers]]:
        """The features of each history's events."""
        blocks = self.scorer.features.events(columns, histories)
        ends = np.cumsum([np.count_nonzero(np.asarray(history)) for history in histories])[:-1]
        return list(zip(*(np.split(block, ends) for block in blocks), strict=True))

    def _check_names(self, given: Mapping[str, Any], where: str = "") -> None:
        wanted = [feature.name for feature in (*self.scorer.features.row, *self.scorer.features.event)]
        missing = next((name for name in wanted if name not in given), None)
        if missing:
            raise WrongRequestError(f"{where}{missing}: Field required")
        extra = next((name for name in given if name not in wanted), None)
        if extra:
            known = ", ".join((HISTORY, ITEM, *wanted))
            raise WrongRequestError(
                f"{where}{extra:.60}: Extra inputs are not permitted; version {self.number} reads {known}"
            )


def _told(error: FeatureError, place: str) -> str:
    where = place.format(feature=error.feature, row=error.row)
    return f"{where}: must be {error.allowed} (given: {reprlib.repr(error.value)})"


def load_version(
    models: Models, version: Version, cache: Path, engine: EngineName = "eager", entry: TableEntry | None = None
) -> ServedVersion:
    """With the item table of `entry`, or else its own. Raises StepError if the files are not the approved ones, or do
    not score as they say.
    """
    package = local_package(models, version, cache)
    features = read_features(package)

    def served(items: CurrentItems) -> ServedVersion:
        scorer = OnlineScorer(items.ranker, items.known, features, engine)
        return ServedVersion(version.number, items.item_table, scorer, items.ids)

    own = served(with_current_items(models, None, package, cache))
    example, expected = scored_example(package.parents[1])
    _check_example(own, example, expected, models.name)
    if entry is None:
        return own
    refreshed = served(with_current_items(models, entry, package, cache))
    _check_refreshed(own, refreshed, example, models.name)
    return refreshed


def _scored(served: ServedVersion, example: Any) -> npt.NDArray[np.float64]:
    features = example.drop(columns=[HISTORY, ITEM]).to_dict("records")
    return served.score(example[HISTORY].tolist(), example[ITEM].tolist(), features).probability


def _check_example(served: ServedVersion, example: Any, expected: npt.NDArray[np.float64], name: str) -> None:
    seen = _scored(served, example)
    difference = float(np.abs(seen - expected).max())
    if not difference <= TOLERANCE:
        raise StepError(
            f"{name} version {served.number} is not served: its example is scored {difference:.1e} away from what its "
            "own program says; roll back, and run the pipeline again with the mmctr that serves"
        )


def _check_refreshed(own: ServedVersion, refreshed: ServedVersion, example: Any, name: str) -> None:
    """Rows of items that the table leaves as they are must be scored as before, and its own items with a number."""
    example = example.assign(
        **{
            HISTORY: [own.ids.numbers(history, HISTORY, padded=True) for history in example[HISTORY]],
            ITEM: own.ids.numbers(example[ITEM].tolist(), ITEM),
        }
    )
    own, refreshed = replace(own, ids=NUMBERED), replace(refreshed, ids=NUMBERED)
    differs = _differing(own.scorer, refreshed.scorer)
    kept = [not differs[[*row[HISTORY], row[ITEM]]].any() for row in example.to_dict("records")]
    apart = np.abs(_scored(refreshed, example) - _scored(own, example))[kept].max(initial=0.0)
    theirs = np.resize(np.flatnonzero(differs), len(example)) if differs.any() else example[ITEM].to_numpy()
    if not (apart <= TOLERANCE and np.isfinite(_scored(refreshed, example.assign(**{ITEM: theirs}))).all()):
        raise StepError(
            f"the item table {refreshed.item_table[:16]} of {name} version {own.number} is not served: with it the "
            f"example is scored {apart:.1e} away from what it was, or an item of the table has no score; revoke it "
            "with `mmctr items revoke`"
        )


def _differing(own: OnlineScorer, refreshed: OnlineScorer) -> Mask:
    """Of which ids the two know something else, by id."""
    rows = len(own.known)
    differs = np.ones(len(refreshed.known), dtype=bool)
    differs[:rows] = own.known != refreshed.known[:rows]
    for name, before in own.ranker.table.named_buffers():
        now = getattr(refreshed.ranker.table, name)[:rows]
        same = (before == now) | ((before != before) & (now != now))  # a missing number is NaN
        differs[:rows] |= ~same.reshape(rows, -1).all(1).cpu().numpy()
    differs[0] = False
    return differs
