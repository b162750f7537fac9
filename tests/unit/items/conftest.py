from collections.abc import Iterator

import pytest

from components.items.revoke import revoke
from components.tracking.item_tables import read_tables
from tests.champion_with_items import World, make_world


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.embed.assemble.draw_contact_sheet", lambda *_: None)
        patch.setenv("MMCTR_WORKSPACE", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield make_world(root)


@pytest.fixture
def world(made: World) -> Iterator[World]:
    """The same world, in which no item table counts at the end."""
    yield made
    while read_tables(made.models).current(1, made.package):
        revoke(made.models, 1, "a test", "its end")
