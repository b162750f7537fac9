"""A challenger beside the champion: it answers the requests of a share of the users (canary), or it scores the requests
of a share of them once more after the champion's answer was sent (shadow). And what of all this goes into the log.

Whatever goes wrong with the challenger, the champion answers.
"""

import logging
import time
from dataclasses import dataclass, field

import numpy as np

from components.dataset.layout import HISTORY, ITEM
from components.request_log.choice import place
from components.request_log.entry import Entry
from components.request_log.writer import RequestLog
from components.serve.asked import Asked
from components.serve.exchange import Answered, Exchange
from components.serve.follow import Follower
from components.serve.shadow import Shadow
from components.serve.version import Scores, ServedVersion

PAUSE = 60.0  # seconds without the challenger, after it took too long
_log = logging.getLogger(__name__)


@dataclass
class TrialCounts:
    """Requests, for the metrics."""

    challenger: int = 0  # the challenger answered
    failed: int = 0  # the champion answered, because the challenger could not
    slow: int = 0  # of the challenger's answers


@dataclass
class Trial:
    challenger: Follower | None = None
    canary: float = 0.0  # share of the users whom the challenger answers
    shadow: Shadow | None = None
    log: RequestLog | None = None
    patience: float = 1.0  # seconds that the challenger may take for an answer
    counts: TrialCounts = field(default_factory=TrialCounts)
    _paused_until: float = 0.0

    def start(self) -> None:
        for part in (self.challenger, self.shadow, self.log):
            if part is not None:
                part.start()

    def stop(self) -> None:
        if self.challenger is not None:
            self.challenger.stop()
        if self.shadow is not None:
            self.shadow.close()
        if self.log is not None:
            self.log.close()

    def state(self) -> dict[str, object]:
        """What /readyz says of the challenger."""
        if self.challenger is None:
            return {}
        now = self.challenger.current
        return {"challenger": {"version": now.number if now else None, "problem": self.challenger.problem}}

    def beside(self, champion: ServedVersion) -> ServedVersion | None:
        """The challenger, if there is one at this moment that is not the champion."""
        found = self.challenger.current if self.challenger else None
        return None if found is None or found.number == champion.number else found

    def answer(self, champion: ServedVersion, key: str, asked: Asked) -> Answered:
        """`key` is the user, or the request where no user is named."""
        challenger = self.beside(champion)
        # Another challenger is given to other users, so that no user gets all experiments.
        if challenger is None or place(f"canary {challenger.number}", key) >= self.canary:
            return Answered(champion.number, champion, asked(champion), asked)
        scores = self._challenged(challenger, asked)
        if scores is None:
            self.counts.failed += 1
            return Answered(challenger.number, champion, asked(champion), asked)
        self.counts.challenger += 1
        return Answered(challenger.number, challenger, scores, asked)

    def _challenged(self, challenger: ServedVersion, asked: Asked) -> Scores | None:
        began = time.monotonic()
        if began < self._paused_until:
            return None
        try:
            scores = checked(challenger, asked)
        except Exception:  # noqa: BLE001 - the champion answers whatever the challenger raises
            _log.warning("challenger %s could not answer", challenger.number, exc_info=True)
            return None
        ended = time.monotonic()
        if ended - began > self.patience:
            self.counts.slow += 1
            self._paused_until = ended + PAUSE
            _log.warning("challenger %s took %.2f s: it rests for %.0f s", challenger.number, ended - began, PAUSE)
        return scores

    def finished(self, exchange: Exchange) -> None:
        """Called when the answer has been sent."""
        if self.log is None or exchange.answered is None or not self.log.chosen(exchange.key):
            return
        entry = entry_of(exchange, exchange.answered, self.log)
        if self.shadow is None or not self.shadow.chosen(exchange.key):
            self.log.offer(entry)
            return
        challenger = self.beside(exchange.answered.by)
        self.shadow.offer(entry, challenger, exchange.answered.asked)


def checked(version: ServedVersion, asked: Asked) -> Scores:
    scores = asked(version)
    if not np.isfinite(scores.logit).all():
        raise ValueError(f"version {version.number} gave scores that are no numbers")
    return scores


def entry_of(exchange: Exchange, answered: Answered, log: RequestLog) -> Entry:
    assert exchange.at is not None
    features, ids, asked = answered.by.scorer.features.row, answered.by.ids, answered.asked
    return Entry(
        request_id=exchange.request_id,
        at=exchange.at,
        route=exchange.route,
        user=log.pseudonym(exchange.user),
        arm=answered.arm,
        version=answered.by.number,
        item_table=answered.by.item_table,
        item=ids.numbers(asked.item, ITEM),
        own_item=ids.own(asked.item),
        known=answered.scores.known,
        logit=answered.scores.logit,
        histories=[ids.numbers(history, HISTORY, padded=True) for history in asked.histories],
        knows=answered.by.scorer.knows,
        features=features,
        columns=asked.columns(features),
    )
