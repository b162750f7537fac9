"""What a study compares: arms that differ in one thing each, and which arm is compared with which."""

from collections import Counter
from dataclasses import dataclass, field, replace

from components.run_config import RunConfig
from model.checks import one_of

VIEWS = ("history", "items", "attention", "factors", "paper")
NOT_IN_NAMES = ",'\"/"  # --arms is cut at commas, MLflow's searches at quotes, and paths at slashes


@dataclass(frozen=True)
class Arm:
    """One ranker of a study. `config` is whole; its seed is replaced in every repetition."""

    name: str
    config: RunConfig
    note: str = ""  # what a reader must know of it
    paper: float | None = None  # the AUC that the paper gives for it
    factors: dict[str, str] = field(default_factory=dict)  # its place in a grid, by axis
    against: str = ""  # the arm it is compared with; empty: the study's reference

    def __post_init__(self) -> None:
        if not self.name or any(letter in self.name for letter in NOT_IN_NAMES):
            raise ValueError(f"arm.name = {self.name!r}: must be a text without any of {NOT_IN_NAMES}")
        if self.paper is not None and not 0.5 <= self.paper <= 1:
            raise ValueError(f"arm.paper = {self.paper!r}: an AUC lies in [0.5, 1]")


@dataclass(frozen=True)
class Study:
    name: str
    title: str
    question: str
    arms: tuple[Arm, ...]
    reference: str
    pairs: tuple[tuple[str, str], ...] = ()  # further comparisons: (arm, against)
    views: tuple[str, ...] = ()  # what its report shows in addition to the table

    def __post_init__(self) -> None:
        names = self.arm_names
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"study.arms: {twice[0]!r} is there twice")
        one_of("study.reference", self.reference, names)
        for view in self.views:
            one_of("study.views", view, VIEWS)
        for arm, against in self.comparisons():
            one_of("study.pairs", arm, names)
            one_of("study.pairs", against, names)
            if arm == against:
                raise ValueError(f"study.pairs: {arm!r} is compared with itself")
        # The same question asked twice would count twice where p-values are adjusted.
        asked = Counter(frozenset(pair) for pair in self.comparisons())
        if again := [sorted(pair) for pair, count in asked.items() if count > 1]:
            raise ValueError(f"study.pairs: {again[0]} are compared twice")

    @property
    def arm_names(self) -> tuple[str, ...]:
        return tuple(arm.name for arm in self.arms)

    def comparisons(self) -> list[tuple[str, str]]:
        """Each arm against its reference, then the further pairs."""
        firsts = [(arm.name, arm.against or self.reference) for arm in self.arms if arm.name != self.reference]
        return [*firsts, *self.pairs]

    def only(self, names: list[str]) -> "Study":
        """The study with some of its arms; those they are compared with come along."""
        for name in names:
            one_of("--arms", name, self.arm_names)
        kept = {self.reference, *names}
        kept |= {arm.against for arm in self.arms if arm.name in kept and arm.against}
        pairs = tuple(pair for pair in self.pairs if set(pair) <= kept)
        return replace(self, arms=tuple(arm for arm in self.arms if arm.name in kept), pairs=pairs)
