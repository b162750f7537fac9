"""Where a training starts: from random weights, or from the champion's.

A start from the champion is only worth something if its weights still mean the same: the same ranker, features whose
codes kept their places, items whose ids and content are those of then. What does not hold is a reason to start from
scratch, which the training's summary tells. A missing champion is such a reason too.
"""

import dataclasses
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import Artifacts
from components.batches.item_table import vocabulary_of
from components.errors import StepError, one_line
from components.packages.format import NEWEST_TIME, RANKER, chain_of
from components.schema.encoder import Encoder, FittedFeature
from components.schema.fitted import read_features
from components.statistics.drift import largest_psi
from components.storage.files import link_or_copy, read_json, sha256_file
from components.storage.verified import made_once
from components.train.config import Recipe
from model import checkpoint
from model.checkpoint import CheckpointError, Header
from model.ranker import Ranker

Arrays = dict[str, npt.NDArray[Any]]

CHANGED_ITEMS = 0.5  # share of the items both know; when more have other content or tags, ids or vectors were made anew


@dataclass(frozen=True)
class Start:
    why: str
    champion: str | None = None  # the folder below `champions` that holds its weights; None: from scratch
    parent: str | None = None  # the champion's version
    newest_time: int | None = None  # of the rows that the champion and those before it learned from
    chain: int = 0  # starts from a champion in a row, this one included

    def folder(self, work: Path) -> Path:
        return work / "champions" / str(self.champion)

    def told(self) -> dict[str, Any]:
        """As summary.json holds it."""
        of = "scratch" if self.champion is None else "champion"
        return {"from": of, "parent": self.parent, "chain": self.chain, "why": self.why}


def decide_start(made: Artifacts, recipe: Recipe, arrays: Arrays, encoder: Encoder, work: Path) -> Start:
    """Looks at the champion if the recipe asks for it, and keeps its weights where the workers find them."""
    if recipe.train.start == "scratch":
        return Start("train.start is scratch")
    champion = read_json(made.champion / "champion.json")
    version = champion["version"]
    if version is None:
        return Start("there is no champion yet")
    path = made.champion / "package" / RANKER
    try:
        header = checkpoint.read_header(path)
        then = read_features(made.champion / "package")
        reason = (
            _ended_chain(header, recipe)
            or _refused(champion, recipe)
            or _drifted(made, recipe)
            or _other_ranker(header, recipe)
            or _other_features(header, then, arrays, encoder)
            or _other_items(checkpoint.load(path), arrays)
        )
    except (CheckpointError, StepError, ValueError) as error:
        reason = one_line(error)
    if reason:
        return Start(f"it could not start from champion {version}: {reason}")
    newest = header.meta.get(NEWEST_TIME)
    start = Start(
        f"train.start is champion, which is version {version}",
        sha256_file(path)[:32],
        str(version),
        None if newest is None else int(newest),
        chain_of(header) + 1,
    )
    made_once(start.folder(work), lambda scratch: link_or_copy(path, scratch / RANKER))
    return start


def _ended_chain(header: Header, recipe: Recipe) -> str:
    if chain_of(header) < recipe.train.max_chain:
        return ""
    return (
        f"{chain_of(header)} starts from a champion in a row led to it, and train.max_chain = {recipe.train.max_chain}"
    )


def _refused(champion: dict[str, Any], recipe: Recipe) -> str:
    refused, limit = champion.get("refused_starts", 0), recipe.train.cold_after_refusals
    if not limit or refused < limit:
        return ""
    return f"candidates that started from it and that the gate refused: {refused}, train.cold_after_refusals = {limit}"


def _drifted(made: Artifacts, recipe: Recipe) -> str:
    limit = recipe.train.cold_above_drift
    found = largest_psi(read_json(made.validation / "verdict.json")) if limit else None
    if found is None or found[1] <= limit:
        return ""
    return f"{found[0]} is a PSI of {found[1]:.3f}, above train.cold_above_drift = {limit:g}"


def _other_ranker(header: Header, recipe: Recipe) -> str:
    now, then = (dataclasses.asdict(config) for config in (recipe.model, header.config))
    for name, value in now.items():
        if value != then[name]:
            return f"model.{name} is {value!r}, the champion's is {then[name]!r}"
    if "codes" in recipe.model.content:
        return "model.content holds 'codes', which each training fits anew, so that they mean something else"
    return ""


def _other_features(header: Header, then: Encoder, arrays: Arrays, encoder: Encoder) -> str:
    for of in ("item", "row", "event"):
        for before, now in zip_longest(getattr(then, of), getattr(encoder, of)):
            if before is None or now is None or not same_meaning(before, now):
                names = [feature.name for feature in (now, before) if feature is not None]
                return f"the {of} feature {names[0]!r} is declared or coded in another way than the champion's"
    vocabulary = vocabulary_of(arrays, encoder)
    if vocabulary.content != header.vocabulary.content:
        return f"an item's content has {vocabulary.content} numbers, the champion's has {header.vocabulary.content}"
    widths = [[feature.width for feature in known.item] for known in (vocabulary, header.vocabulary)]
    if widths[0] != widths[1]:
        return f"the items' features are {widths[0]} codes wide, the champion's {widths[1]}"
    return ""


def same_meaning(before: FittedFeature, now: FittedFeature) -> bool:
    """Whether the weights of a feature still mean the same. Its vocabulary may have grown at the end.

    The edges, the mean or the centre of a number are those of the newest train. They move a little from night to night,
    and the weights follow.
    """
    known = len(before.values)
    if now.values[:known] != before.values or len(now.edges) != len(before.edges):
        return False
    fields = ("name", "kind", "place", "of", "levels", "buckets", "width", "encoding")
    return all(getattr(now, field) == getattr(before, field) for field in fields)


def _other_items(champion: Ranker, arrays: Arrays) -> str:
    """Ids that were dealt anew, and content with another projection, look like this: most items are others."""
    items = min(len(arrays["content"]), champion.vocabulary.items)
    tags, table = champion.vocabulary.item[0].width, champion.table  # levels and features change with time, tags do not
    for what, now, before in (
        ("tags", arrays["codes"][:, :tags], table.codes_NX[:, :tags].numpy()),
        ("content", arrays["content"], table.content_NC.numpy()),
    ):
        there = now[:items].any(axis=1) & before[:items].any(axis=1)
        if not there.any():
            continue
        now, before = now[:items][there], before[:items][there]
        changed = (np.abs(now - before) > 1e-3 * np.abs(before).max(axis=1, keepdims=True)).any(axis=1).mean()
        if changed > CHANGED_ITEMS:
            remedy = "; set embed.projection=reuse-champion" if what == "content" else ""
            return f"{changed:.0%} of the items that both know have other {what} than then{remedy}"
    return ""
