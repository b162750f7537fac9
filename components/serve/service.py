"""What all routes share: who answers, in whose turn, and how an answer is written."""

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Response
from starlette.exceptions import HTTPException

from components.serve.asked import Asked, Rows
from components.serve.bodies import Problem, ScoreRequest
from components.serve.exchange import Answered, current
from components.serve.follow import Follower
from components.serve.limits import Queue
from components.serve.metrics import Metrics
from components.serve.trial import Trial
from components.serve.version import Scores, ServedVersion

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (400, "The body is no JSON."),
        (413, "The body is too long."),
        (422, "A field is missing, not known, of another type or out of its range."),
        (429, "The queue is full; ask again after the seconds in Retry-After."),
        (503, "No version is loaded yet, or the time limit was reached."),
    )
}


@dataclass(frozen=True)
class Service:
    """What the routes share."""

    name: str
    follower: Follower
    queue: Queue
    metrics: Metrics
    trial: Trial

    async def scores(self, asked: Asked) -> tuple[ServedVersion, Scores]:
        """One version answers all of a request: the one that serves when its turn comes."""
        exchange = current.get()

        def work() -> Answered:
            return self.trial.answer(self.served(), exchange.key, asked)

        exchange.answered = await self.queue.run(work)
        served, scores = exchange.answered.by, exchange.answered.scores
        self.metrics.candidates.inc(len(scores.known))
        self.metrics.unknown.inc(int((~scores.known).sum()))
        return served, scores

    def served(self) -> ServedVersion:
        if self.follower.current is None:
            raise HTTPException(503, f"no version is loaded: {self.follower.problem}")
        return self.follower.current

    def answer(self, served: ServedVersion, scores: Scores) -> dict[str, Any]:
        return {
            "model": self.name,
            "version": served.number,
            "item_table": served.item_table,
            "scores": scores.probability,
            "known": scores.known,
        }


def rows_of(request: ScoreRequest) -> Rows:
    rows = request.rows
    item = [row.item_id for row in rows]
    return Rows([row.item_seq for row in rows], item, [row.model_extra or {} for row in rows])


def as_json(content: Any, status: int = 200, headers: Any = None) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, "application/json")
