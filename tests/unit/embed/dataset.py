"""Small datasets for the tests of this room, written by hand so that every byte is known."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

WORDS = ("red", "fast", "cat", "boat", "night", "music", "snow", "garden", "old", "city", "bread", "river")


def picture(seed: int, size: int = 40) -> Image.Image:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def title(item: int) -> str:
    random = np.random.default_rng(1000 + item)
    return " ".join(random.choice(WORDS, size=int(random.integers(2, 12))))


def write_dataset(
    folder: Path,
    items: int = 24,
    titles: Mapping[int, str | None] | None = None,
    images: Mapping[int, bytes | None] | None = None,
    columns: Mapping[str, Any] | None = None,
    train: Sequence[int] | None = None,
) -> Path:
    """Items 1…n with a title and a cover each; `titles` and `images` replace some, an image of None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = list(range(1, items + 1))
    texts = [(titles or {}).get(i, title(i)) for i in ids]
    features: dict[str, Any] = {"item_id": ids, "item_title": texts, "item_tags": [[i % 3 + 1, i % 5 + 4] for i in ids]}
    pq.write_table(pa.table({**features, **(columns or {})}), folder / "item_feature.parquet")
    (folder / "item_images").mkdir(exist_ok=True)
    for item in ids:
        data = (images or {}).get(item, encoded(picture(item)))
        if data is not None:
            (folder / "item_images" / f"{item}.jpg").write_bytes(data)
    seen = ids if train is None else list(train)
    rows = pa.table(
        {
            "user_id": seen,
            "item_id": seen,
            "item_seq": [[0, 0, seen[0]]] * len(seen),
            "likes_level": [1] * len(seen),
            "views_level": [1] * len(seen),
            "label": [1] * len(seen),
        }
    )
    for split in ("train", "valid", "test"):
        pq.write_table(rows, folder / f"{split}.parquet")
    return folder
