"""A new SQLite registry is a copy of one that is made once in a session.

MLflow makes the tables of an empty file by a hundred migrations, which takes more than a second of CPU and many
synchronous writes: most of the time of a test of one decision. Registries that another process opens are made anew.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from components.tracking import server


@pytest.fixture(scope="session", autouse=True)
def new_registries_are_copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    alone_with_a_new = server._alone_with_a_new

    @cache
    def original() -> Path:
        from mlflow import MlflowClient

        path = tmp_path_factory.mktemp("registry") / "mlflow.db"
        MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_registered_models()
        return path

    @contextmanager
    def copied(file: Path | None) -> Iterator[None]:
        with alone_with_a_new(file):
            if file and not file.exists():
                shutil.copyfile(original(), file)
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "_alone_with_a_new", copied)
        yield
