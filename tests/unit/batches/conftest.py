"""The train step's inputs serve here too."""

from tests.unit.train.conftest import inputs, job

__all__ = ["inputs", "job"]
