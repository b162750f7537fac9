"""Other people's files in the challenge's form."""

from components.importers.microlens import microlens
from components.importers.movielens import movielens
from components.importers.report import ImportReport

__all__ = ["ImportReport", "microlens", "movielens"]
