"""A published item table as a file: the items that differ from those in the version's package. The same items are the
same bytes, so the file's hash names the table.
"""

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from components.errors import StepError
from components.packages.scores import Mask
from components.schema.encoder import ItemIds
from model.checks import all_finite
from model.growth import with_items
from model.items import ItemTable
from model.ranker import Ranker

FORMAT = 1
COLUMNS = ("ids", "codes", "numbers", "content", "own")
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ItemRows:
    """M items. `codes`, `numbers` and `content` are rows of `model.items.ItemTable`."""

    ids: Array
    codes: Array
    numbers: Array
    content: Array
    own: Array  # the items' own ids, see `components.schema.encoder.ItemIds`; empty texts where they have none
    version: int
    package: str  # hash of the files of that version

    def to_bytes(self) -> bytes:
        about = {"format": FORMAT, "version": self.version, "package": self.package}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            ids=self.ids.astype(np.int64),
            codes=self.codes.astype(np.int64),
            numbers=self.numbers.astype(np.float32),
            content=self.content.astype(np.float32),
            own=self.own.astype(np.str_),
            about=np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8),
        )
        return buffer.getvalue()

    def on(self, ranker: Ranker, known: Mask) -> tuple[Ranker, Mask]:
        """The ranker that scores these items as well, and which ids it knows then."""
        codes, numbers, content = map(torch.from_numpy, (self.codes, self.numbers, self.content))
        rows = ItemTable(codes, numbers, content, torch.zeros(len(self.ids), dtype=torch.bool))
        grown = with_items(ranker, torch.from_numpy(self.ids), rows)
        grown.table.check(grown.vocabulary)
        longer = np.zeros(grown.vocabulary.items, dtype=bool)
        longer[: len(known)] = known
        longer[self.ids] = True
        return grown, longer

    def named(self, ids: ItemIds) -> ItemIds:
        """With the own ids of these items."""
        if ids.number is None:
            return ids
        own = zip(self.own.tolist(), self.ids.tolist(), strict=True)
        return ItemIds({**ids.number, **{text: number for text, number in own if text}})


def table_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_rows(content: bytes, where: str) -> ItemRows:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            blocks = {name: arrays[name] for name in COLUMNS}
        if about.pop("format") != FORMAT:
            raise ValueError("another format than this mmctr reads")
        rows = ItemRows(**blocks, **about)
        if len({len(block) for block in blocks.values()}) > 1 or (len(rows.ids) and rows.ids.min() < 1):
            raise ValueError("its columns do not fit each other")
        if not all_finite(rows.content):
            raise ValueError("its content is not finite")
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StepError(f"{where} is no item table ({error}): revoke it with `mmctr items revoke`") from None
    return rows
