"""A registered version, loaded to be asked: its files held against its approval, its scores against its own example."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.batches.scoring import probabilities
from components.dataset.layout import HISTORY, ITEM, LIKES, VIEWS
from components.errors import StepError
from components.packages.fetch import local_package
from components.packages.format import MANIFEST, RANKER
from components.packages.scores import Mask, known_items
from components.predict.online import OnlineScorer, Whole
from components.schema.fitted import read_features
from components.storage.files import read_json
from components.tracking.models import Models, Version
from components.tracking.pyfunc import scored_example
from model.checkpoint import load

TOLERANCE = 1e-5  # of a probability, between this scorer and the version's own program


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

    def rank(self, history: Sequence[int], item: Whole, likes: Whole, views: Whole) -> Scores:
        """The scores of one user's candidates."""
        logits = self.scorer.logits(history, item, {LIKES: likes, VIEWS: views})
        return Scores(probabilities(logits), logits, self.scorer.knows(item))

    def score(self, histories: Sequence[Sequence[int]], item: Whole, likes: Whole, views: Whole) -> Scores:
        """The scores of rows with a history each; rows that share one are scored together."""
        logits, rows_of = np.empty(len(item), dtype=np.float32), dict[tuple[int, ...], list[int]]()
        for row, history in enumerate(histories):
            rows_of.setdefault(tuple(history), []).append(row)
        for history, rows in rows_of.items():
            logits[rows] = self.scorer.logits(history, item[rows], {LIKES: likes[rows], VIEWS: views[rows]})
        return Scores(probabilities(logits), logits, self.scorer.knows(item))


def load_version(models: Models, version: Version, cache: Path) -> ServedVersion:
    """Raises StepError if the files are not the approved ones, or do not score as they say."""
    package = local_package(models, version, cache)
    ranker = load(package / RANKER)
    manifest = read_json(package / MANIFEST)
    scorer = OnlineScorer(ranker, known_items(package, ranker.vocabulary.items), read_features(package))
    served = ServedVersion(version.number, str(manifest.get("item_info_sha256", "")), scorer)
    _check_example(served, *scored_example(package.parents[1]), models.name)
    return served


def _check_example(served: ServedVersion, example: Any, expected: npt.NDArray[np.float64], name: str) -> None:
    columns = (example[column].to_numpy(dtype=np.int64) for column in (ITEM, LIKES, VIEWS))
    seen = served.score(example[HISTORY].tolist(), *columns).probability
    difference = float(np.abs(seen - expected).max())
    if not difference <= TOLERANCE:
        raise StepError(
            f"{name} version {served.number} is not served: its example is scored {difference:.1e} away from what its "
            "own program says; roll back, and run the pipeline again with the mmctr that serves"
        )
