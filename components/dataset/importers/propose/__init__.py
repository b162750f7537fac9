"""Proposes a features.yaml for files that it has never seen: which column is what, and what looks wrong."""

from components.dataset.importers.propose.propose import Proposal, propose

__all__ = ["Proposal", "propose"]
