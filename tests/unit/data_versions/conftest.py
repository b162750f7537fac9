"""The repository with versioned data that the tests of ingest use."""

from tests.unit.ingest.conftest import _template, repository

__all__ = ["_template", "repository"]
