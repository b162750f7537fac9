"""The Open Inference Protocol, version 2, in JSON: what KServe, Triton's clients and MLServer's speak.

Tensors are `item_id` of shape [rows], `item_seq` of shape [rows, length], padded with 0, and one for each feature of a
row: of shape [rows], or [rows, values] for one with several values, where an empty text is padding. A feature of the
history's events has the shape of `item_seq`; what stands beside a padding 0 does not count. Answers are `probability`,
`logit` and `known_item`.
"""

import math
from importlib.metadata import version as installed
from typing import Any

import numpy.typing as npt
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from components.dataset.layout import HISTORY, ITEM
from components.schema.encoder import Encoder, FittedFeature
from components.serve.bodies import MOST, ScoreRequest
from components.serve.service import REFUSALS, Service, as_json, rows_of

_WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_OUTPUTS = {"probability": "FP64", "logit": "FP32", "known_item": "BOOL"}


class Input(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class InferRequest(BaseModel):
    id: str | None = None
    inputs: list[Input] = Field(max_length=16)


def add_protocol(app: FastAPI, service: Service) -> None:
    model = f"/v2/models/{service.name}"

    @app.get("/v2", tags=["Open Inference Protocol"])
    async def server() -> dict[str, Any]:
        return {"name": "mmctr", "version": installed("mmctr"), "extensions": []}

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
        features = [
            {"name": feature.name, "datatype": _datatype(feature), "shape": [-1] * _dimensions(feature)}
            for feature in (*served.scorer.features.row, *served.scorer.features.event)
        ]
        return {
            "name": service.name,
            "versions": [str(served.number)],
            "platform": "mmctr",
            "inputs": [
                {"name": HISTORY, "datatype": "INT64", "shape": [-1, -1]},
                {"name": ITEM, "datatype": "INT64", "shape": [-1]},
                *features,
            ],
            "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in _OUTPUTS.items()],
        }

    @app.post(f"{model}/infer", tags=["Open Inference Protocol"], responses=REFUSALS)
    async def infer(request: InferRequest) -> Response:
        served, scores = await service.scores(rows_of(_rows(request, service.served().scorer.features)))
        columns: list[npt.NDArray[Any]] = [scores.probability, scores.logit, scores.known]
        outputs = [
            {"name": name, "datatype": kind, "shape": [len(column)], "data": column}
            for (name, kind), column in zip(_OUTPUTS.items(), columns, strict=True)
        ]
        answer = {"model_name": service.name, "model_version": str(served.number), "outputs": outputs}
        return as_json(answer if request.id is None else {**answer, "id": request.id})


def _datatype(feature: FittedFeature) -> str:
    if feature.kind == "number":
        return "FP64"
    return "INT64" if feature.levels else "BYTES"


def _dimensions(feature: FittedFeature) -> int:
    return 2 if feature.kind == "categories" or feature.of == "event" else 1


def _rows(request: InferRequest, features: Encoder) -> ScoreRequest:
    tensors = {tensor.name: tensor for tensor in request.inputs}
    dimensions = {HISTORY: 2, ITEM: 1}
    dimensions |= {feature.name: _dimensions(feature) for feature in (*features.row, *features.event)}
    if set(tensors) != set(dimensions) or len(request.inputs) != len(tensors):
        *names, last = dimensions
        raise HTTPException(422, f"inputs must be {', '.join(names)} and {last}, each once")
    columns = {name: _flat(tensors[name], dimensions[name], name in (HISTORY, ITEM)) for name in dimensions}
    rows = len(columns[ITEM])
    wrong = next((name for name, tensor in tensors.items() if tensor.shape[0] != rows), None)
    if wrong or rows > MOST:
        raise HTTPException(422, f"inputs must have the same number of rows, {MOST:,} at most")
    for name in (name for name, count in dimensions.items() if count == 2):
        width = tensors[name].shape[1]
        columns[name] = [columns[name][row * width : (row + 1) * width] for row in range(rows)]
    values = zip(*columns.values(), strict=True)
    return ScoreRequest.model_validate({"rows": [dict(zip(columns, row, strict=True)) for row in values]})


def _flat(tensor: Input, dimensions: int, whole: bool) -> list[Any]:
    """The values in row-major order; the protocol allows nested lists as well."""
    values = tensor.data
    while values and isinstance(values[0], list):
        values = [value for part in values for value in (part if isinstance(part, list) else [part])]
    shape = tensor.shape
    if len(shape) != dimensions or min(shape, default=0) < 0 or math.prod(shape) != len(values):
        raise HTTPException(
            422,
            f"{tensor.name}: {len(values)} values do not fill the shape {shape}; it must have {dimensions} dimensions",
        )
    if whole and tensor.datatype not in _WHOLE:
        raise HTTPException(
            422, f"{tensor.name}: datatype {tensor.datatype!r:.40}; must be INT64 or another whole type"
        )
    return values
