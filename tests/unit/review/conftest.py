"""One SQLite registry for the tests of a module, and a model of its own for each of them."""

from collections.abc import Iterator

import pytest

from components.tracking.models import Models
from components.tracking.server import Server, connect


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return connect(f"sqlite:///{tmp_path_factory.mktemp('review') / 'mlflow.db'}")


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return (f"ranker-{number}" for number in range(10_000))


@pytest.fixture
def models(server: Server, names: Iterator[str]) -> Models:
    return Models(server, next(names))
