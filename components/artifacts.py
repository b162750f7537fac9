"""The folders that the steps of one run make for each other. What each folder holds: docs/reference/steps.md.

A step hands a folder over with the digests of its files, and the next step reads nothing before they were checked: on
a cluster the files have been to object storage and back, and a wrong number in them would decide about a model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from components.errors import StepError
from components.storage.verified import damage, seal

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
        return cls(**{name: receive(artifact.path) for name, artifact in artifacts.items()})


def hand_over(folder: Path) -> None:
    """Called once, when the folder is complete."""
    seal(folder, folder.name)


def receive(path: str) -> Path:
    """An artifact's folder, whose files are those that were handed over. Nothing is moved: it may be read-only here."""
    folder = Path(path)
    if reason := damage(folder):
        raise StepError(f"{folder} is not what the step before wrote ({reason}): run the pipeline again")
    return folder
