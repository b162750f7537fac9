"""What a data set holds beside ids, histories and labels: the features that its features.yaml declares.

docs/reference/features.md describes the file. Without one, a data set has the features of the public challenge. An
error names the feature, the field, its value and what is allowed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from components.errors import StepError
from components.schema.challenge import LEVELS, LIKES, TAGS, VIEWS
from components.schema.encoder import FittedFeature
from components.schema.log import LogColumns, read_log_columns

FILE = "features.yaml"
Of = Literal["row", "user", "item", "event"]
TITLE = "item_title"
RESERVED = ("user_id", "item_id", "item_seq", "label", TITLE, TAGS, "item_emb_d128")
_OF_ROWS = ("time", "weight")  # optional columns of the splits
_CHOICES = {
    "of": ("row", "user", "item", "event"),
    "kind": ("category", "categories", "number", "vector", "text", "image"),
    "encoding": ("piecewise", "buckets", "standardised"),
    "place": ("both", "history", "target"),
}
_NUMBERS = {
    "min_count": (1, 10**9),
    "buckets": (1, 10**6),
    "levels": (2, 10_000),
    "max_values": (1, 100),
    "bins": (2, 100),
}
_FIELDS = {
    "category": ("min_count", "buckets", "levels"),
    "categories": ("min_count", "buckets", "max_values"),
    "number": ("encoding", "bins"),
    "vector": (),
    "text": (),
    "image": (),
}
_CONTENT = ("text", "image")  # parts of an item that the embed step turns into its content vector
_TYPES_OF_EVENTS = {"category": "a list of integers or texts", "number": "a list of numbers"}
_TYPES = {
    "category": "an integer or a text",
    "categories": "a list of integers or texts",
    "number": "a number",
    "vector": "a list of numbers",
}


@dataclass(frozen=True)
class Declared:
    """One feature as features.yaml declares it."""

    name: str  # its column: of item_feature for an item, else of the splits
    of: Of
    kind: str
    min_count: int = 2  # of a category: a rarer value has no code of its own
    buckets: int = 1  # of a category: codes that rare and unknown values share, chosen by a hash of the value
    levels: int = 0  # of a category whose values are the whole numbers below this: each is its own code
    max_values: int = 5  # of `categories`: the first ones count
    encoding: str = "piecewise"  # of a number
    bins: int = 16  # of a number: pieces or buckets, each with the same share of the training rows
    place: str | None = "both"  # of an item's feature: which items carry it; None: `model.item_levels` says so


def column_type(feature: Declared | FittedFeature) -> str:
    """In the words of components/dataset/footers.py."""
    if feature.of == "event":
        return _TYPES_OF_EVENTS[feature.kind]
    return "an integer" if feature.levels else _TYPES[feature.kind]


@dataclass(frozen=True)
class Schema:
    features: tuple[Declared, ...]  # what the network reads of rows, items and events
    from_file: bool  # otherwise the data has the challenge's layout
    log: LogColumns | None = None  # only `mmctr import log` reads it
    content: tuple[Declared, ...] = ()  # what the embed step reads of items; empty: titles and pictures, as they are

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of item_feature that become one text."""
        return tuple(part.name for part in self.content if part.kind == "text") if self.content else (TITLE,)

    @property
    def row(self) -> tuple[Declared, ...]:
        """The features that are columns of the splits with one value for each row."""
        return tuple(feature for feature in self.features if feature.of in ("row", "user"))

    @property
    def item(self) -> tuple[Declared, ...]:
        return tuple(feature for feature in self.features if feature.of == "item")

    @property
    def event(self) -> tuple[Declared, ...]:
        """The features that are columns of the splits with one value for each event of the history."""
        return tuple(feature for feature in self.features if feature.of == "event")

    @property
    def fitted(self) -> tuple[Declared, ...]:
        """The features of which something is learned in train."""
        return tuple(feature for feature in self.features if not feature.levels)


CHALLENGE_SCHEMA = Schema(
    (
        *(Declared(name, "row", "category", levels=LEVELS) for name in (LIKES, VIEWS)),
        *(Declared(name, "item", "category", levels=LEVELS, place=None) for name in (LIKES, VIEWS)),
    ),
    from_file=False,
)


def read_schema(folder: Path) -> Schema:
    """What the data set in this folder declares."""
    path = folder / FILE
    return read_schema_file(path) if path.is_file() else CHALLENGE_SCHEMA


def read_schema_file(path: Path) -> Schema:
    try:
        document = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StepError(f"{FILE} is no YAML: {' '.join(str(error).split())[:300]}") from None
    keys = set(document) if isinstance(document, dict) else set()
    if "features" not in keys or keys - {"features", "log"} or not isinstance(document["features"], list):
        raise StepError(
            f"{FILE} must hold the key `features` with a list of features, and may hold the key `log`; found "
            f"{_found(document)}"
        )
    features = tuple(_declared(number, entry) for number, entry in enumerate(document["features"], start=1))
    seen: set[tuple[str, bool]] = set()
    for feature in features:
        column = (feature.name, feature.of == "item")
        if column in seen:
            raise _wrong(feature.name, "name", feature.name, "declared once in each file")
        seen.add(column)
    images = [feature.name for feature in features if feature.kind == "image"]
    if len(images) > 1:
        raise _wrong(images[1], "kind", "image", f"declared once: {images[0]!r} is the picture in item_images already")
    content = tuple(feature for feature in features if feature.kind in _CONTENT)
    log = read_log_columns(FILE, document["log"]) if "log" in keys else None
    return Schema(tuple(feature for feature in features if feature not in content), True, log, content)


def _found(document: Any) -> str:
    if isinstance(document, dict):
        return f"the keys {', '.join(map(str, document)) or 'none'}"
    return f"{document!r:.60}"


def _declared(number: int, entry: Any) -> Declared:
    if not isinstance(entry, dict):
        raise StepError(f"{FILE}: feature {number} is {entry!r:.60}; must be a mapping with name, of and kind")
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise _wrong(str(number), "name", name, "the name of a column")
    if name in RESERVED and (name, entry.get("kind")) != (TITLE, "text"):
        raise _wrong(name, "name", name, "another column: every data set has this one, and the model reads it already")
    for field in ("of", "kind"):
        _check_choice(name, field, entry.get(field))
    if name in _OF_ROWS and entry["of"] != "item":
        raise _wrong(name, "name", name, f"another column: in the splits this is the {name} of each row")
    content = entry["kind"] in _CONTENT
    if content and entry["of"] != "item":
        raise _wrong(
            name, "of", entry["of"], f"item, because it is {'a text' if entry['kind'] == 'text' else 'an image'}"
        )
    if entry["of"] == "event" and entry["kind"] not in _TYPES_OF_EVENTS:
        raise _wrong(name, "kind", entry["kind"], f"one of {', '.join(_TYPES_OF_EVENTS)}, because it is of an event")
    allowed = (
        "name",
        "of",
        "kind",
        *_FIELDS[entry["kind"]],
        *(["place"] if entry["of"] == "item" and not content else []),
    )
    for field, value in entry.items():
        if field not in allowed:
            kind = f"a {entry['kind']} of {'an' if entry['of'] in ('item', 'event') else 'a'} {entry['of']}"
            raise StepError(f"{FILE}: feature {name!r} has the field {field!r}; {kind} can have {', '.join(allowed)}")
        if field in _CHOICES:
            _check_choice(name, field, value)
        elif field in _NUMBERS:
            low, high = _NUMBERS[field]
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise _wrong(name, field, value, f"a whole number from {low} to {high}")
    if "levels" in entry and {"min_count", "buckets"} & set(entry):
        raise _wrong(
            name, "levels", entry["levels"], "alone: levels have no vocabulary, so no min_count and no buckets"
        )
    return Declared(**entry)


def _check_choice(name: str, field: str, value: Any) -> None:
    if not isinstance(value, str) or value not in _CHOICES[field]:
        raise _wrong(name, field, value, f"one of {', '.join(_CHOICES[field])}")


def _wrong(name: str, field: str, value: Any, allowed: str) -> StepError:
    return StepError(f"{FILE}: feature {name!r}: {field} = {value!r:.60}; must be {allowed}")
