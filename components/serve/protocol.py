"""The Open Inference Protocol, version 2, in JSON: what KServe, Triton's clients and MLServer's speak.

Tensors are `item_id`, `likes_level`, `views_level` of shape [rows] and `item_seq` of shape [rows, length], padded with
0; answers are `probability`, `logit` and `known_item`.
"""

import math
from importlib.metadata import version as installed
from typing import Any

import numpy.typing as npt
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from components.dataset.layout import HISTORY, ITEM, LIKES, VIEWS
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
        inputs = [{"name": name, "datatype": "INT64", "shape": [-1]} for name in (ITEM, LIKES, VIEWS)]
        return {
            "name": service.name,
            "versions": [str(service.served().number)],
            "platform": "mmctr",
            "inputs": [*inputs, {"name": HISTORY, "datatype": "INT64", "shape": [-1, -1]}],
            "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in _OUTPUTS.items()],
        }

    @app.post(f"{model}/infer", tags=["Open Inference Protocol"], responses=REFUSALS)
    async def infer(request: InferRequest) -> Response:
        served, scores = await service.scores(rows_of(_rows(request)))
        columns: list[npt.NDArray[Any]] = [scores.probability, scores.logit, scores.known]
        outputs = [
            {"name": name, "datatype": kind, "shape": [len(column)], "data": column}
            for (name, kind), column in zip(_OUTPUTS.items(), columns, strict=True)
        ]
        answer = {"model_name": service.name, "model_version": str(served.number), "outputs": outputs}
        return as_json(answer if request.id is None else {**answer, "id": request.id})


def _rows(request: InferRequest) -> ScoreRequest:
    tensors = {tensor.name: tensor for tensor in request.inputs}
    if set(tensors) != {HISTORY, ITEM, LIKES, VIEWS} or len(request.inputs) != len(tensors):
        raise HTTPException(422, f"inputs must be {HISTORY}, {ITEM}, {LIKES} and {VIEWS}, each once")
    columns = {name: _flat(tensors[name], 2 if name == HISTORY else 1) for name in tensors}
    rows = len(columns[ITEM])
    wrong = next((name for name, tensor in tensors.items() if tensor.shape[0] != rows), None)
    if wrong or rows > MOST:
        raise HTTPException(422, f"inputs must have the same number of rows, {MOST:,} at most")
    length = tensors[HISTORY].shape[1]
    histories = [columns[HISTORY][row * length : (row + 1) * length] for row in range(rows)]
    values = zip(histories, columns[ITEM], columns[LIKES], columns[VIEWS], strict=True)
    names = (HISTORY, ITEM, LIKES, VIEWS)
    return ScoreRequest.model_validate({"rows": [dict(zip(names, row, strict=True)) for row in values]})


def _flat(tensor: Input, dimensions: int) -> list[Any]:
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
    if tensor.datatype not in _WHOLE:
        raise HTTPException(
            422, f"{tensor.name}: datatype {tensor.datatype!r:.40}; must be INT64 or another whole type"
        )
    return values
