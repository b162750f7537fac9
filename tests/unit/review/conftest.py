from collections.abc import Iterator

import pytest

from components.tracking.models import Models
from tests.services.registry import one_after_another


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    return one_after_another(tmp_path_factory.mktemp("review"))


@pytest.fixture
def models(registry: Iterator[Models]) -> Models:
    return next(registry)
