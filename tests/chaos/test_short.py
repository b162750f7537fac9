"""A few faults of each family, as `make chaos` tries them: none may go wrong."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import FAMILIES
from tests.chaos.record import Record
from tests.chaos.reference import Reference, reference

pytestmark = pytest.mark.slow

SHORT = {"kills": 2, "corruptions": 8, "races": 1, "servers": 1, "disk": 8}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return reference(tmp_path_factory.mktemp("chaos"))


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.postgres] * (name in ("races", "servers"))) for name in SHORT]
)
def test_a_few_faults_of_each_family_are_survived(family: str, undisturbed: Reference, tmp_path: Path) -> None:
    record = Record.open(tmp_path / f"{family}.json", seed=16, folder=undisturbed.folder)
    FAMILIES[family][0](record, undisturbed, SHORT[family])
    assert record.faults
    assert [fault for fault in record.faults if fault["outcome"] == "wrong"] == []
