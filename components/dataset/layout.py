"""The data contract: names of files and columns. The layout of the public MicroLens_1M_MMCTR release.

Id 0 is padding everywhere. A history is the oldest click first, padded with 0 on the left.
"""

from pathlib import Path

from components.schema import challenge

SPLITS = ("train", "valid", "test")

USER, ITEM, HISTORY = "user_id", "item_id", "item_seq"
TIME, WEIGHT = "time", "weight"  # optional: seconds since 1970 in UTC; how much a row counts
LIKES, VIEWS, LABEL = challenge.LIKES, challenge.VIEWS, "label"
# Made by `mmctr import log`: id -> the team's own id, and of what the data set was made.
USER_IDS, ITEM_IDS, IMPORTED = "user_ids.parquet", "item_ids.parquet", "import.json"
TITLE, TAGS = "item_title", challenge.TAGS
TEXT_EMBEDDING, IMAGE_EMBEDDING = "txt_emb_BERT", "img_emb_CLIPRN50"
ITEM_EMBEDDING = "item_emb_d128"

MAX_HISTORY = 100
MAX_TAGS = challenge.MAX_TAGS
LEVELS = challenge.LEVELS
# Metadata of a split's Parquet file whose levels were counted up to each click, so that they move with time. Without it
# a row's levels are those of its item in item_feature.
LEVELS_AS_OF_CLICK = {b"mmctr.levels": b"as of the click"}


def split_path(data: Path, split: str) -> Path:
    return data / f"{split}.parquet"


def item_feature_path(data: Path) -> Path:
    return data / "item_feature.parquet"


def item_info_path(data: Path) -> Path:
    return data / "item_info.parquet"


def item_images_path(data: Path) -> Path:
    return data / "item_images"


_SPLIT_FOLDERS = ("", "MicroLens_1M_x1")  # the release keeps its splits one folder deeper


def find_file(folder: Path, name: str) -> Path | None:
    """The path of a file of the contract. The folder may be the challenge's own release, which has subfolders."""
    return next((path for sub in _SPLIT_FOLDERS if (path := folder / sub / name).is_file()), None)
