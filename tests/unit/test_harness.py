"""What every step has in common: how the errors of a step are shown."""

import errno
import json
import shutil
from pathlib import Path

import pytest

from components.harness import step
from components.run_config import RunConfig
from components.settings import to_dict

CONFIG = json.dumps(to_dict(RunConfig("sample")))


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/weights", None, "b/weights"), "b/weights"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "b/weights"), "b/weights"),
        (OSError(errno.ENOSPC, "No space left on device"), "out"),
        (shutil.Error([("a/x", "b/x", "[Errno 28] No space left on device: 'b/x'")]), "out"),
    ],
    ids=["copy", "quota", "write", "copy of a folder"],
)
def test_a_full_disk_in_any_step_is_one_line(
    error: OSError, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(SystemExit) as ended, step("gate", "a run", CONFIG, str(tmp_path / "out")):
        raise error
    assert ended.value.code == 1
    assert ended.value.__suppress_context__
    assert caplog.messages[-1].startswith("gate failed: the disk of ")
    assert f"{place} is full: make room and run again" in caplog.text


def test_another_error_of_the_system_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(OSError, match="too many open files"), step("gate", "a run", CONFIG, str(tmp_path / "out")):
        raise OSError(errno.EMFILE, "too many open files")
