"""Tensors of the Open Inference Protocol as numpy arrays, in both forms: as JSON, and as bytes behind the JSON.

The second form is the protocol's binary tensor data extension, which the clients of Triton and KServe speak. A tensor
with the parameter `binary_data_size` has its values behind the JSON text, in the order of the inputs, little-endian and
row by row; the header `Inference-Header-Content-Length` says how long the JSON text is.
"""

import math
import struct
from typing import Annotated, Any, Self

import numpy as np
import orjson
from pydantic import BaseModel, Field, model_validator
from starlette.exceptions import HTTPException

from components.schema.encoder import Column

HEADER_LENGTH = "Inference-Header-Content-Length"
_WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_TYPES = {
    **{name: f"<{name[0].lower()}{int(name.lstrip('UINT')) // 8}" for name in _WHOLE},
    "BOOL": "?",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


class TensorParameters(BaseModel):
    binary_data_size: Annotated[int | None, Field(ge=0, description="Bytes of this tensor behind the JSON.")] = None
    binary_data: Annotated[bool, Field(description="Of an output: return it behind the JSON.")] = False


class Input(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: TensorParameters = TensorParameters()

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.data is None) == (self.parameters.binary_data_size is None):
            raise ValueError(f"{self.name:.40} must have either data or the parameter binary_data_size")
        return self


class Output(BaseModel):
    name: str
    parameters: TensorParameters = TensorParameters()


class RequestParameters(BaseModel):
    binary_data_output: Annotated[bool, Field(description="Return all outputs behind the JSON.")] = False


class InferRequest(BaseModel):
    id: str | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: list[Input] = Field(max_length=16)
    outputs: Annotated[list[Output], Field(max_length=16, description="Those wanted; none: all.")] = []


def read(body: bytes, header_length: str | None) -> tuple[InferRequest, dict[str, Column]]:
    """The request, and the flat values of each input by its name."""
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit() and int(header_length) <= len(body)):
            raise HTTPException(
                400,
                f"{HEADER_LENGTH}: must be a number up to the body's {len(body)} bytes (given: {header_length:.40})",
            )
        length = int(header_length)
    request = InferRequest.model_validate_json(body[:length])
    sizes = [tensor.parameters.binary_data_size or 0 for tensor in request.inputs]
    if sum(sizes) != len(body) - length:
        raise HTTPException(
            422, f"binary_data_size of all inputs: {sum(sizes)} bytes, but {len(body) - length} follow the JSON"
        )
    values: dict[str, Column] = {}
    for tensor, size in zip(request.inputs, sizes, strict=True):
        values[tensor.name] = _flat(tensor.data) if tensor.data is not None else _array(tensor, body, length, size)
        _check_shape(tensor, len(values[tensor.name]))
        length += size
    return request, values


def ids(tensor: Input, values: Column) -> list[Any]:
    """Of items: numbers, or texts."""
    if tensor.datatype not in (*_WHOLE, "BYTES"):
        raise HTTPException(
            422, f"{tensor.name}: datatype {tensor.datatype!r:.40}; must be INT64 or another whole type, or BYTES"
        )
    return list(values.tolist() if isinstance(values, np.ndarray) else values)


def answer(request: InferRequest, content: dict[str, Any], columns: dict[str, tuple[str, Any]]) -> tuple[bytes, int]:
    """(body, length of its JSON). `columns` are (datatype, values) of each output by its name."""
    asked = {output.name: output.parameters.binary_data for output in request.outputs}
    unknown = next((name for name in asked if name not in columns), None)
    if unknown is not None:
        raise HTTPException(422, f"outputs: {unknown:.40} is none of {', '.join(columns)}")
    outputs, behind = [], []
    for name in asked or columns:
        kind, values = columns[name]
        output: dict[str, Any] = {"name": name, "datatype": kind, "shape": [len(values)]}
        if request.parameters.binary_data_output or asked.get(name, False):
            behind.append(np.ascontiguousarray(values, _TYPES[kind]).tobytes())
            outputs.append({**output, "parameters": {"binary_data_size": len(behind[-1])}})
        else:
            outputs.append({**output, "data": values})
    head = orjson.dumps({**content, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([head, *behind]), len(head)


def _flat(values: list[Any]) -> list[Any]:
    """In row-major order; the protocol allows nested lists as well."""
    while values and isinstance(values[0], list):
        values = [value for part in values for value in (part if isinstance(part, list) else [part])]
    return values


def _array(tensor: Input, body: bytes, begin: int, size: int) -> Column:
    if tensor.datatype == "BYTES":
        return _texts(tensor, memoryview(body)[begin : begin + size])
    kind = _TYPES.get(tensor.datatype)
    if kind is None or size % np.dtype(kind).itemsize:
        raise HTTPException(422, f"{tensor.name}: {size} bytes can't be values of the datatype {tensor.datatype!r:.40}")
    return np.frombuffer(body, kind, size // np.dtype(kind).itemsize, begin)


def _texts(tensor: Input, raw: memoryview) -> list[str]:
    """Each is its length in four bytes, then its bytes."""
    texts, place = [], 0
    try:
        while place < len(raw):
            (length,) = struct.unpack_from("<I", raw, place)
            place += 4 + length
            if place > len(raw):
                raise ValueError("a text ends behind the tensor")
            texts.append(str(raw[place - length : place], "utf-8"))
    except (struct.error, ValueError) as error:
        raise HTTPException(422, f"{tensor.name}: its bytes are no texts with their lengths: {error}") from None
    return texts


def _check_shape(tensor: Input, values: int) -> None:
    if min(tensor.shape, default=0) < 0 or math.prod(tensor.shape) != values:
        raise HTTPException(422, f"{tensor.name}: {values} values do not fill the shape {tensor.shape!r:.80}")
