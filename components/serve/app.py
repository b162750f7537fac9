"""The HTTP application: routes, and what is answered when something is wrong."""

import reprlib
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from components.serve.asked import OneUser
from components.serve.bodies import Ranked, RankRequest, Scored, ScoreRequest, examples
from components.serve.exchange import Identified
from components.serve.follow import Follower
from components.serve.limits import BoundedBodies, BusyError, OverdueError, Queue
from components.serve.metrics import Measured, Metrics
from components.serve.protocol import add_protocol
from components.serve.service import REFUSALS, Service, as_json, rows_of
from components.serve.trial import Trial
from components.serve.trial_metrics import TrialMetrics
from components.serve.version import WrongRequestError


def make_app(name: str, follower: Follower, queue: Queue, trial: Trial | None = None) -> FastAPI:
    service = Service(name, follower, queue, Metrics(follower, queue), trial or Trial())
    service.metrics.registry.register(TrialMetrics(service.trial))
    app = FastAPI(title="mmctr serve", description="Click probabilities of the champion.", redoc_url=None)
    app.add_middleware(BoundedBodies)
    app.add_middleware(Identified, finished=service.trial.finished)
    app.add_middleware(Measured, metrics=service.metrics)
    _add_refusals(app)
    _add_scores(app, service)
    add_protocol(app, service)
    _add_health(app, service)
    _add_examples(app, service)
    return app


def _add_scores(app: FastAPI, service: Service) -> None:
    @app.post("/rank", response_model=Ranked, responses=REFUSALS)
    async def rank(request: RankRequest) -> Response:
        """Scores and order of one user's candidates."""
        asked = OneUser(request.item_seq, request.item_id, request.model_extra or {})
        served, scores = await service.scores(asked)
        return as_json({**service.answer(served, scores), "order": scores.order})

    @app.post("/score", response_model=Scored, responses=REFUSALS)
    async def score(request: ScoreRequest) -> Response:
        """Scores of rows that each bring their own history."""
        return as_json(service.answer(*await service.scores(rows_of(request))))


def _add_examples(app: FastAPI, service: Service) -> None:
    """The page's examples hold the features that the served version reads."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        page = make()
        if service.follower.current is not None:
            served = service.served()
            for body, example in examples(served.scorer.features, served.ids).items():
                page["components"]["schemas"][body]["examples"] = [example]
        return page

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI's documentation gives


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, Any]:
        """A version is loaded. `problem` says why it may not be the newest, for example that the registry is down."""
        ready = {"status": "ready", "version": service.served().number, "problem": service.follower.problem}
        return ready | service.trial.state()

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValidationError)
    async def invalid(_: Request, error: RequestValidationError | ValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return as_json({"error": f"the body is no JSON: {first['ctx']['error']}"}, 400)
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        return as_json({"error": f"{where}: {first['msg']} (given: {reprlib.repr(first['input'])})"}, 422)

    @app.exception_handler(WrongRequestError)
    async def unfit(_: Request, error: WrongRequestError) -> Response:
        return as_json({"error": str(error)}, 422)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return as_json({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(BusyError)
    async def busy(_: Request, __: BusyError) -> Response:
        return as_json({"error": "too many requests are waiting"}, 429, {"Retry-After": "1"})

    @app.exception_handler(OverdueError)
    async def overdue(_: Request, __: OverdueError) -> Response:
        return as_json({"error": "the time limit was reached"}, 503, {"Retry-After": "1"})
