"""The Open Inference Protocol, version 2: what KServe, Triton's clients and MLServer's speak.

Tensors are `item_id` of shape [rows], `item_seq` of shape [rows, length], padded with 0 or empty texts, or [1, length]
for one history of all rows, and one for each feature of a row: of shape [rows], or [rows, values] for one with several
values, where an empty text is padding. A feature of the history's events has the shape of `item_seq`; what stands
beside padding does not count. Answers are `probability`, `logit` and `known_item`.
"""

from importlib.metadata import version as installed
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from components.dataset.layout import HISTORY, ITEM
from components.schema.encoder import Column, Encoder, FittedFeature
from components.serve.asked import Table
from components.serve.bodies import LONGEST, MOST
from components.serve.service import REFUSALS, Service
from components.serve.tensors import HEADER_LENGTH, InferRequest, Input, Output, answer, ids, read

_OUTPUTS = {"probability": "FP64", "logit": "FP32", "known_item": "BOOL"}


def add_protocol(app: FastAPI, service: Service) -> None:
    model = f"/v2/models/{service.name}"

    @app.get("/v2", tags=["Open Inference Protocol"])
    async def server() -> dict[str, Any]:
        return {"name": "mmctr", "version": installed("mmctr"), "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live", tags=["Open Inference Protocol"])
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready", tags=["Open Inference Protocol"])
    async def ready() -> dict[str, bool]:
        return {"ready": bool(service.served())}

    @app.get(f"{model}/ready", tags=["Open Inference Protocol"])
    async def model_ready() -> dict[str, Any]:
        return {"name": service.name, "ready": bool(service.served())}

    @app.get(model, tags=["Open Inference Protocol"])
    async def metadata() -> dict[str, Any]:
        served = service.served()
        of_items = "INT64" if served.ids.number is None else "BYTES"
        features = [
            {"name": feature.name, "datatype": _datatype(feature), "shape": [-1] * _dimensions(feature)}
            for feature in (*served.scorer.features.row, *served.scorer.features.event)
        ]
        return {
            "name": service.name,
            "versions": [str(served.number)],
            "platform": "mmctr",
            "inputs": [
                {"name": HISTORY, "datatype": of_items, "shape": [-1, -1]},
                {"name": ITEM, "datatype": of_items, "shape": [-1]},
                *features,
            ],
            "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in _OUTPUTS.items()],
        }

    @app.post(f"{model}/infer", tags=["Open Inference Protocol"], responses=REFUSALS, openapi_extra=_body())
    async def infer(http: Request) -> Response:
        request, values = read(await http.body(), http.headers.get(HEADER_LENGTH))
        served, scores = await service.scores(_table(request, values, service.served().scorer.features))
        columns = zip(_OUTPUTS.items(), (scores.probability, scores.logit, scores.known), strict=True)
        content = {"model_name": service.name, "model_version": str(served.number)}
        if request.id is not None:
            content["id"] = request.id
        body, length = answer(request, content, {name: (kind, column) for (name, kind), column in columns})
        if length == len(body):
            return Response(body, media_type="application/json")
        return Response(body, headers={HEADER_LENGTH: str(length)}, media_type="application/octet-stream")


def _body() -> dict[str, Any]:
    """For the page of the routes: FastAPI does not know a body that the route reads by itself."""
    schema = InferRequest.model_json_schema()
    for name, part in (("inputs", Input), ("outputs", Output)):
        schema["properties"][name]["items"] = {"title": part.__name__, "type": "object"}
    schema["properties"]["parameters"] = {"type": "object"}
    del schema["$defs"]
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _datatype(feature: FittedFeature) -> str:
    if feature.kind in ("number", "vector"):
        return "FP64"
    return "INT64" if feature.levels else "BYTES"


def _dimensions(feature: FittedFeature) -> int:
    return 2 if feature.kind in ("categories", "vector") or feature.of == "event" else 1


def _table(request: InferRequest, values: dict[str, Column], features: Encoder) -> Table:
    tensors = {tensor.name: tensor for tensor in request.inputs}
    dimensions = {HISTORY: 2, ITEM: 1}
    dimensions |= {feature.name: _dimensions(feature) for feature in (*features.row, *features.event)}
    if set(tensors) != set(dimensions) or len(request.inputs) != len(tensors):
        *names, last = dimensions
        raise HTTPException(422, f"inputs must be {', '.join(names)} and {last}, each once")
    wrong = next((name for name, count in dimensions.items() if len(tensors[name].shape) != count), None)
    if wrong:
        shape = tensors[wrong].shape
        raise HTTPException(422, f"{wrong}: the shape {shape!r:.80} must have {dimensions[wrong]} dimensions")
    rows, histories = tensors[ITEM].shape[0], tensors[HISTORY].shape
    by_history = {HISTORY, *(feature.name for feature in features.event)}
    counts = {tensor.shape[0] for name, tensor in tensors.items() if name not in by_history}
    if counts != {rows} or not 1 <= rows <= MOST or histories[0] not in (1, rows):
        raise HTTPException(
            422, f"inputs must have the same number of rows, 1 to {MOST:,}; {HISTORY} may have one for all of them"
        )
    other = next((name for name in by_history if tensors[name].shape != histories), None)
    if other:
        raise HTTPException(422, f"{other}: must have the shape of {HISTORY}, {histories}")
    if histories[1] > LONGEST:
        raise HTTPException(422, f"{HISTORY}: must have at most {LONGEST:,} items (given: {histories[1]})")
    given: dict[str, Column] = {name: values[name] for name in dimensions if name not in (HISTORY, ITEM)}
    for name in (name for name in given if dimensions[name] == 2):
        count, width = tensors[name].shape
        given[name] = [list(given[name][row * width : (row + 1) * width]) for row in range(count)]
    clicked, (count, width) = ids(tensors[HISTORY], values[HISTORY]), histories
    history = [clicked[row * width : (row + 1) * width] for row in range(count)]
    return Table(history, ids(tensors[ITEM], values[ITEM]), given)
