"""Converts other data sets into the challenge's layout."""

from components.dataset.importers.bench import microlens_bench
from components.dataset.importers.log import LogImport, import_log
from components.dataset.importers.microlens import microlens
from components.dataset.importers.movielens import movielens
from components.dataset.importers.movielens_features import movielens_features
from components.dataset.importers.propose import Proposal, propose
from components.dataset.importers.report import ImportReport

__all__ = [
    "ImportReport",
    "LogImport",
    "Proposal",
    "import_log",
    "microlens",
    "microlens_bench",
    "movielens",
    "movielens_features",
    "propose",
]
