"""What runs the arithmetic of a request: PyTorch on the processor (the reference) or on a GPU, or OpenVINO.

An engine takes one user's candidates and gives their logits. All engines compute in float32: OpenVINO would choose
bfloat16 by itself where the processor has it, and then answers up to .03 away.
"""

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from components.errors import StepError
from model.candidates import Candidates, CandidateScorer

EngineName = Literal["eager", "openvino", "cuda"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
Engine = Callable[[Candidates], npt.NDArray[np.float32]]


def device_of(engine: EngineName) -> torch.device:
    """Where the tables of items lie."""
    if engine == "cuda" and not torch.cuda.is_available():
        raise StepError("the engine cuda needs a GPU and a torch built for it: take the engine eager or openvino")
    return torch.device("cuda" if engine == "cuda" else "cpu")


def make_engine(engine: EngineName, scorer: CandidateScorer, example: Candidates) -> Engine:
    """`example` is a request of any values, of two items and two candidates at least."""
    return _openvino(scorer, example) if engine == "openvino" else _eager(scorer)


def _eager(scorer: CandidateScorer) -> Engine:
    def run(request: Candidates) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = scorer(request).cpu().numpy()
        return logits

    return run


class _Traced(nn.Module):
    """The scorer as OpenVINO reads it: without the tensors that have no columns, which it computes wrongly."""

    def __init__(self, scorer: CandidateScorer, fields: list[str]) -> None:
        super().__init__()
        self.scorer, self.fields = scorer, fields

    def forward(self, *given: Tensor) -> Tensor:
        named = dict(zip(self.fields, given, strict=True))
        history_LD, target_BD = named["history_LD"], named["target_BD"]
        empty = {name: (history_LD if name == "history_LC" else target_BD)[:, :0] for name in Candidates._fields}
        logits: Tensor = self.scorer(Candidates(**{**empty, **named}))
        return logits


def _openvino(scorer: CandidateScorer, example: Candidates) -> Engine:
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    example = example._replace(real_L=example.real_L.to(torch.int64))  # its own bool tensors are bytes
    fields = [name for name, tensor in example._asdict().items() if tensor.shape[-1]]
    inputs = tuple(getattr(example, name) for name in fields)
    shapes = tuple({0: torch.export.Dim.AUTO} for _ in fields)  # any length of the history, any number of candidates
    program = torch.export.export(_Traced(scorer, fields).eval(), inputs, dynamic_shapes=(shapes,))
    # Not by `openvino.convert_model`, which reports its use to the maker over the network.
    reader = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings(), _without_its_remarks():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 warns of its own LeafSpec
        decoder = TorchFXPythonDecoder.from_exported_program(program)  # named, because it must live until the end
        graph = reader.convert(reader.load(decoder))
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    named = dict(zip(program.graph_signature.user_inputs, fields, strict=True))
    # It leaves out the inputs that nothing reads, and gives some a second name.
    read = [next(named[name] for name in port.names if name in named) for port in compiled.inputs]
    inference, alone = compiled.create_infer_request(), threading.Lock()

    def run(request: Candidates) -> npt.NDArray[np.float32]:
        given = [getattr(request, name) for name in read]
        arrays = [np.ascontiguousarray(tensor.numpy(), dtype=_kind(tensor)) for tensor in given]
        with alone:  # a request object computes one thing at a time
            found = inference.infer(arrays, share_inputs=True)[compiled.output(0)]
        return np.array(found, dtype=np.float32)

    return run


@contextmanager
def _without_its_remarks() -> Iterator[None]:
    """OpenVINO logs each operation that torch 2.13 does not list; no ranker has any of them."""

    def wanted(record: logging.LogRecord) -> bool:
        return "not found in decomp table" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(wanted)
    try:
        yield
    finally:
        root.removeFilter(wanted)


def _kind(tensor: Tensor) -> Any:
    return np.float32 if tensor.is_floating_point() else np.int64
