"""What a run of the step will do, decided once: which items it reads, and which encoders their content needs."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.dataset.images import ImageFolder
from components.dataset.layout import item_feature_path, item_info_path
from components.embed.cache import VectorCache, content_key
from components.embed.config import EmbedConfig
from components.embed.item_inputs import PRECOMPUTED, Items, read_items
from components.embed.registry import Modality, Variant, chosen
from components.embed.weights import revision
from components.errors import StepError
from components.schema.declared import Schema, read_schema

MODALITIES: tuple[Modality, ...] = ("text", "image")


@dataclass(frozen=True)
class Plan:
    items: Items
    part: slice  # the positions of the items whose content is hashed and encoded here
    config: EmbedConfig
    encoders: dict[Modality, Variant]  # for what did not come as vectors
    cache: VectorCache
    scratch: Path
    _keys: dict[Modality, list[bytes | None]] = field(default_factory=dict)

    def keys(self, modality: Modality) -> list[bytes | None]:
        """The content hash of each item of the part; None where there is nothing to hash."""
        if modality not in self._keys:
            if modality == "text":
                texts = self.items.texts[self.part]
                self._keys[modality] = [content_key(text.encode()) if text else None for text in texts]
            else:
                with ThreadPoolExecutor(self.config.decoders) as pool:
                    self._keys[modality] = list(pool.map(self._image_key, self.items.ids[self.part]))
        return self._keys[modality]

    def _image_key(self, item: int) -> bytes | None:
        return content_key(self.items.images.read(item)) if item in self.items.images else None


@contextmanager
def planned(
    dataset: Path, config: EmbedConfig, cache: str | Path, shard: int = 0, shards: int = 1
) -> Iterator[Plan | None]:
    """The plan for one shard of the items; None if the data's own item_info is taken as it is."""
    config = _as_declared(config, read_schema(dataset))
    if _takes_existing(dataset, config):
        yield None
        return
    with VectorCache(cache) as vectors, tempfile.TemporaryDirectory(prefix="mmctr-embed-") as name:
        items, scratch = read_items(dataset, config), Path(name)
        yield Plan(items, items.part(shard, shards), config, _encoders(items, config, scratch), vectors, scratch)


def _as_declared(config: EmbedConfig, schema: Schema) -> EmbedConfig:
    """The texts that the data set declares, and no encoder for what it does not declare."""
    if not schema.content:
        return config
    kinds = {part.kind for part in schema.content}
    unread: dict[str, Any] = {f"{kind}_encoder": "none" for kind in MODALITIES if kind not in kinds}
    return replace(config, text_columns=schema.texts or config.text_columns, **unread)


def _takes_existing(dataset: Path, config: EmbedConfig) -> bool:
    """Whether this run passes the data's own item_info through."""
    present = item_info_path(dataset).exists()
    if config.existing == "use" and not present:
        raise StepError(
            f"{item_info_path(dataset)} is missing, and embed.existing='use' wants it: put it there, or set "
            "embed.existing=auto to make one"
        )
    if config.existing == "ignore" or not present:
        return False
    return config.existing == "use" or not _has_raw(dataset, config)


def _has_raw(dataset: Path, config: EmbedConfig) -> bool:
    """Whether the data has everything that the configured encoders need."""
    if not item_feature_path(dataset).exists():
        return False
    columns = pq.read_schema(item_feature_path(dataset)).names
    given = {modality for modality, name in PRECOMPUTED.items() if config.use_precomputed and name in columns}
    text = config.text_encoder == "none" or "text" in given or set(config.text_columns) <= set(columns)
    image = config.image_encoder == "none" or "image" in given or len(ImageFolder(dataset)) > 0
    return text and image


def _encoders(items: Items, config: EmbedConfig, scratch: Path) -> dict[Modality, Variant]:
    """The encoders that this run needs, by modality."""
    found: dict[Modality, Variant] = {}
    for modality in MODALITIES:
        spec = chosen(config, modality)
        if spec is None or modality in items.columns:
            continue
        if modality == "image" and not len(items.images):
            raise StepError(
                "the dataset has no images: put item_images/{id}.jpg or item_images-*.tar there, or set "
                "embed.image_encoder=none to embed without them"
            )
        weights, pinned = getattr(config, f"{modality}_weights"), getattr(config, f"{modality}_revision")
        limit = config.pixel_limit if modality == "image" else 0
        found[modality] = Variant(spec, weights, revision(spec, weights, pinned, scratch), config.precision, limit)
    return found
