"""Metrics from processes that have no other way back: lines of a file, handed on as they come."""

import json
from pathlib import Path

from components.train.watch import OnMetrics


class MetricsTail:
    """Hands on the lines that are appended after it was made."""

    def __init__(self, path: Path, on_metrics: OnMetrics) -> None:
        self._path, self._on_metrics = path, on_metrics
        self._offset = path.stat().st_size if path.is_file() else 0

    def __enter__(self) -> "MetricsTail":
        return self

    def __exit__(self, *_: object) -> None:
        self.poll()

    def poll(self) -> None:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # still being written
                    break
                self._offset += len(line)
                report = json.loads(line)
                self._on_metrics(report["step"], report["metrics"])
