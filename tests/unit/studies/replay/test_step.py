"""A replay writes what there is when it is stopped, and says in one line that nothing came of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import StepError
from components.storage.files import write_json
from pipelines.presets import preset
from studies.engine import StudyData
from studies.replay import step
from studies.replay.chain import Chain
from studies.replay.night import NightPlan
from studies.replay.policies import parse_policies
from studies.replay.prepare import ReplayInputs
from studies.replay.step import ReplayOrder, run_replay

INPUTS = ReplayInputs("key", "timeline", [], {}, None)


class NoRecord:
    """A replay that nobody tracks."""

    trouble = ""

    def __init__(self, *_: Any) -> None: ...

    def conclude(self, *_: Any) -> None: ...


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReplayOrder:
    monkeypatch.setattr(step, "_prepared", lambda *_: INPUTS)
    monkeypatch.setattr(step, "Record", NoRecord)
    policies = parse_policies("never, cold weekly, cold nightly")
    source = StudyData(None, tmp_path, "HEAD")
    return ReplayOrder(policies, NightPlan(), preset("sample"), (), source, 1, tmp_path, tmp_path / "out")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The policies of which each page shows nights."""
    pages: list[list[str]] = []

    def write(_: ReplayOrder, chains: list[Chain], *__: Any) -> dict[str, Any]:
        pages.append([chain.name for chain in chains if chain.nights()])
        return {"failed": []}

    monkeypatch.setattr(step, "_written", write)
    return pages


def work(nights: dict[str, int], ending: BaseException | None, failed: dict[str, str]) -> Callable[..., dict[str, str]]:
    def run_cells(chains: list[Chain], *_: Any) -> dict[str, str]:
        assert [chain.name for chain in chains] == ["cold nightly", "cold weekly", "never"], "the busiest first"
        for chain in chains:
            if nights.get(chain.name):
                write_json(chain.folder / "nights.json", ["cell"] * nights[chain.name])
        if ending is not None:
            raise ending
        return failed

    return run_cells


def test_stopped_it_writes_a_page_of_the_finished_nights(
    order: ReplayOrder, written: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "run_cells", work({"cold nightly": 3}, KeyboardInterrupt(), {}))
    with pytest.raises(KeyboardInterrupt):
        run_replay(order, lambda _: None)
    assert written == [["cold nightly"]]


def test_stopped_before_the_first_night_it_writes_nothing(
    order: ReplayOrder, written: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "run_cells", work({}, KeyboardInterrupt(), {}))
    with pytest.raises(KeyboardInterrupt):
        run_replay(order, lambda _: None)
    assert written == []


def test_if_every_policy_fails_it_says_why_in_one_line(
    order: ReplayOrder, written: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "run_cells", work({}, None, {"never": "its memory was full"}))
    with pytest.raises(StepError, match="no night was finished: never: its memory was full"):
        run_replay(order, lambda _: None)
    assert written == []
