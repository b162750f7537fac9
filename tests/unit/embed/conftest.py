from dataclasses import replace
from pathlib import Path

import pytest

from components.embed.config import EmbedConfig
from tests.unit.embed.tiny_encoders import save_tiny_bert, save_tiny_clip


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def real_picture() -> None:
    """Asked for by the tests that look at the contact sheet: drawing it is most of a tiny run."""


@pytest.fixture(autouse=True)
def no_picture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_picture" not in request.fixturenames:
        monkeypatch.setattr("components.embed.assemble.draw_contact_sheet", lambda *_: None)


@pytest.fixture(scope="session")
def tiny(tiny_bert: Path, tiny_clip: Path) -> EmbedConfig:
    """A run of the whole step in a second or so."""
    return replace(
        EmbedConfig(dimension=8, text_batch=4, image_batch=4, bad_input_limit=0.5),
        text_encoder="bert",
        text_weights=str(tiny_bert),
        image_encoder="clip-vit",
        image_weights=str(tiny_clip),
    )
