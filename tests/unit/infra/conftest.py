import pytest

from infra.check.build import K8S, OVERLAYS, build
from tests.unit.infra.overlays import Objects


@pytest.fixture(scope="session")
def built() -> dict[str, Objects]:
    """The objects of each overlay. Tests that change some do so on a copy."""
    return {name: build(K8S / "overlays" / name) for name in OVERLAYS}
