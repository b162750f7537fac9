"""Other people's files in the challenge's form."""

from components.dataset.importers.microlens import microlens
from components.dataset.importers.movielens import movielens
from components.dataset.importers.report import ImportReport

__all__ = ["ImportReport", "microlens", "movielens"]
