"""Whole runs by name: a ranker, how it is trained, and every policy around it.

`sample` is what a laptop runs in minutes; the others are full size. `--set section.field=value` changes any of them.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import model.presets as rankers
from components.gate.policy import read_policy
from components.run_config import RunConfig
from components.settings import closest, with_overrides
from components.train.config import TrainConfig


def sample() -> RunConfig:
    """The best ranker at a size that two cores train in seconds, regularised more: it soon memorises 20,000 rows."""
    ranker = replace(rankers.best("small"), content_norm="l2", deep_dropout=0.5)
    return RunConfig("sample", model=ranker, train=replace(_laptop(), embedding_l2=0.3))


def sample_paper() -> RunConfig:
    """The reference solution at the sample's size."""
    return RunConfig("sample-paper", model=rankers.paper("small"), train=_laptop())


def study() -> RunConfig:
    """What `mmctr study` varies: the paper's ranker at the sample's size, in a budget that allows dozens of trainings.

    Two cores train it on 100,000 rows in minutes. After three epochs the arms differ and none has memorised its rows.
    """
    train = TrainConfig(batch_size=1024, learning_rate=2e-3, max_epochs=3, patience=2, checkpoint_minutes=2.0)
    return RunConfig("study", model=rankers.paper("small"), train=train)


def best() -> RunConfig:
    """The options that won in the studies, at the challenge's size."""
    return RunConfig("best", model=rankers.best("challenge"), train=_full())


def paper() -> RunConfig:
    """The 1st-place solution as its paper describes it, with the padding mask corrected."""
    return RunConfig("paper", model=rankers.paper("challenge"), train=TrainConfig())


def published() -> RunConfig:
    """The released code with its inverted padding mask, kept for comparison."""
    return RunConfig("published", model=rankers.published("challenge"), train=TrainConfig())


def din() -> RunConfig:
    """The organisers' baseline."""
    return RunConfig("din", model=rankers.din("challenge"), train=TrainConfig())


def _laptop() -> TrainConfig:
    return TrainConfig(batch_size=1024, learning_rate=2e-3, max_epochs=8, patience=2)


def _full() -> TrainConfig:
    return replace(TrainConfig(), batch_size=4096, precision="bfloat16")


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "sample": sample,
    "sample-paper": sample_paper,
    "study": study,
    "best": best,
    "paper": paper,
    "published": published,
    "din": din,
}


def preset(name: str) -> RunConfig:
    if name not in PRESETS:
        raise ValueError(f"preset = {name!r}: no such preset{closest(name, PRESETS)}")
    return PRESETS[name]()


def resolve(name: str, overrides: list[str] | None = None, policy: Path | None = None) -> RunConfig:
    """A preset, with the gate's policy of a file and single fields changed, the latter last."""
    config = preset(name)
    if policy is not None:
        config = replace(config, gate=read_policy(policy))
    return with_overrides(config, overrides or [])
