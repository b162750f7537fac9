"""The folders that the steps of one run make for each other. What each folder holds: docs/reference/steps.md."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

NOT_MADE = Path("not-made-by-an-earlier-step")  # reading below it says which file is missing


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    """One record with named folders: with so many paths as positional arguments, two could be swapped unnoticed."""

    dataset: Path = NOT_MADE
    lineage: Path = NOT_MADE
    validation: Path = NOT_MADE
    champion: Path = NOT_MADE
    embeddings: Path = NOT_MADE
    training: Path = NOT_MADE
    evaluation: Path = NOT_MADE
    decision: Path = NOT_MADE

    @classmethod
    def of(cls, **artifacts: Any) -> Self:
        """From the artifacts that KFP hands to a component."""
        return cls(**{name: Path(artifact.path) for name, artifact in artifacts.items()})
