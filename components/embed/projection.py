"""From the vectors of an item's modalities to one short vector: one affine map, fitted once, kept with its hash.

`out = ((text ∥ image − mean) · scale) @ matrix`. Shapes: N items, C numbers of all modalities joined, W outputs.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.embed.config import EmbedConfig
from components.errors import StepError
from components.storage.files import atomic_path, sha256_json

METHOD = "exact-1"  # takes the next number when the same vectors would give another projection
BLOCK = 4096  # rows in float64 at once
APPLIED = 512  # rows projected at once, always in this shape
Blocks = Callable[[], Iterator[np.ndarray]]  # yields the rows to fit on in float32 blocks; may be called several times


@dataclass(frozen=True)
class Projection:
    mean: np.ndarray
    scale: np.ndarray
    matrix: np.ndarray | None  # None keeps every width
    facts: dict[str, Any]  # modalities with widths and variants, fusion, share of variance explained, …

    def apply(self, vectors_NC: np.ndarray) -> np.ndarray:
        """Float64 inside, and blocks of one size, so that a row's result does not depend on the others."""
        outputs = []
        for start in range(0, len(vectors_NC), APPLIED):
            block = np.zeros((APPLIED, vectors_NC.shape[1]))
            rows = vectors_NC[start : start + APPLIED]
            block[: len(rows)] = (rows - self.mean) * self.scale
            outputs.append((block if self.matrix is None else block @ self.matrix)[: len(rows)].astype(np.float32))
        return np.concatenate(outputs)

    def to_bytes(self) -> bytes:
        matrix = np.zeros((0, 0)) if self.matrix is None else self.matrix
        facts = np.frombuffer(json.dumps(self.facts, sort_keys=True).encode(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean, scale=self.scale, matrix=matrix, facts=facts)
        return buffer.getvalue()

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def save(self, path: Path) -> None:
        with atomic_path(path) as scratch:
            scratch.write_bytes(self.to_bytes())


def load_projection(data: bytes, where: str) -> Projection:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            matrix = arrays["matrix"]
            facts = json.loads(arrays["facts"].tobytes())
            return Projection(arrays["mean"], arrays["scale"], matrix if matrix.size else None, facts)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StepError(f"{where} is not a projection ({error}): set embed.projection=fit to make a new one") from error


def fit_projection(blocks: Blocks, widths: Sequence[int], config: EmbedConfig) -> Projection:
    """Fits on all rows that `blocks` yields. Needs memory for C × C numbers and one block."""
    count, mean_C, variance_C = _moments(blocks)
    if count < 2:
        raise StepError(f"{count} items seen in train have usable vectors: a projection needs at least 2")
    scale_C = _scales(variance_C, widths, config)
    facts: dict[str, Any] = {"fusion": config.fusion, "standardise": config.standardise, "fitted_on": count}
    if config.fusion == "none":
        return Projection(mean_C, scale_C, None, {**facts, "explained_variance": 1.0})
    matrix_CW, explained = np.zeros((sum(widths), config.dimension)), []
    if count <= sum(widths):
        centred_NC = np.concatenate([(block - mean_C) * scale_C for block in blocks()]) / np.sqrt(count - 1)
        total = float(np.square(centred_NC).sum())
    else:
        covariance_CC = _covariance(blocks, mean_C, scale_C)
        total = float(np.trace(covariance_CC))
    for rows, outputs in _panels(widths, config):
        wanted = min(outputs.stop - outputs.start, count - 1, rows.stop - rows.start)
        if count <= sum(widths):
            values, directions = _principal_of_few(centred_NC[:, rows], wanted)
        else:
            values, directions = _principal(covariance_CC[rows, rows], wanted)
        matrix_CW[rows, outputs.start : outputs.start + len(values)] = directions
        explained.extend(values.tolist())
    # One number brings the result to a mean square of 1: the geometry stays, a network gets sane inputs.
    gain = np.sqrt(config.dimension / max(sum(explained), 1e-30))
    share = sum(explained) / max(total, 1e-30)
    facts |= {
        "explained_variance": share,
        "components": len(explained),
        "spectrum": [v / sum(explained) for v in explained],
    }
    return Projection(mean_C, scale_C, matrix_CW * gain, facts)


def fit_id(blocks: Blocks, config: EmbedConfig, inputs: list[dict[str, Any]]) -> str:
    """The name of a fit by all that it depends on: the vectors themselves, in their order, and the settings."""
    digest = hashlib.sha256()
    for block in blocks():
        digest.update(np.ascontiguousarray(block).tobytes())
    settings = {"fusion": config.fusion, "standardise": config.standardise, "dimension": config.dimension}
    return sha256_json({"method": METHOD, "vectors": digest.hexdigest(), "inputs": inputs, **settings})


def _moments(blocks: Blocks) -> tuple[int, np.ndarray, np.ndarray]:
    count, total, squares = 0, np.float64(0.0), np.float64(0.0)
    for block in blocks():
        count += len(block)
        total = total + block.sum(0, dtype=np.float64)
    mean = np.asarray(total / max(count, 1))
    for block in blocks():  # a second pass: differences of large squares would lose digits
        squares = squares + ((block - mean) ** 2).sum(0)
    return count, mean, np.asarray(squares / max(count - 1, 1))


def _scales(variance_C: np.ndarray, widths: Sequence[int], config: EmbedConfig) -> np.ndarray:
    """Each modality gets a total variance of 1, so that the one with more or larger numbers does not dominate."""
    scale_C, start = np.ones_like(variance_C), 0
    for width in widths:
        part = slice(start, start + width)
        start += width
        if config.standardise == "modality":
            scale_C[part] = 1.0 / np.sqrt(max(float(variance_C[part].sum()), 1e-30))
        elif config.standardise == "feature":
            # A number that never varies carries no information: its scale is 0 instead of infinite.
            alive = variance_C[part] > 1e-12 * max(float(variance_C[part].max()), 1e-30)
            scale_C[part] = np.where(alive, 1.0 / np.sqrt(np.where(alive, variance_C[part], 1.0) * width), 0.0)
    return scale_C


def _covariance(blocks: Blocks, mean_C: np.ndarray, scale_C: np.ndarray) -> np.ndarray:
    total, count = np.zeros((len(mean_C), len(mean_C))), 0
    for block in blocks():
        centred = (block - mean_C) * scale_C
        total += centred.T @ centred
        count += len(block)
    return total / max(count - 1, 1)


def _panels(widths: Sequence[int], config: EmbedConfig) -> list[tuple[slice, slice]]:
    """Which rows of the matrix feed which of its columns."""
    if config.fusion == "pca":
        return [(slice(0, sum(widths)), slice(0, config.dimension))]
    bounds = [config.dimension * part // len(widths) for part in range(len(widths) + 1)]
    starts = np.concatenate([[0], np.cumsum(widths)])
    return [(slice(int(starts[i]), int(starts[i + 1])), slice(bounds[i], bounds[i + 1])) for i in range(len(widths))]


def _principal(covariance_CC: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """The leading variances, and their directions as columns."""
    values, vectors = _leading(covariance_CC, wanted)
    return values, _signed(vectors)


def _principal_of_few(centred_NC: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """The same from the N × N products, where there are fewer items than widths."""
    values, vectors_NW = _leading(centred_NC @ centred_NC.T, wanted)
    return values, _signed(centred_NC.T @ vectors_NW / np.sqrt(values))


def _leading(symmetric: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg import eigh

    width = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=(width - wanted, width - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    alive = values > 1e-10 * max(float(values[0]), 1e-30)  # beyond the rank there is only rounding noise
    return values[alive], vectors[:, alive]


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Each direction with its largest component positive, so that a rerun cannot flip one."""
    signed: np.ndarray = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
    return signed
