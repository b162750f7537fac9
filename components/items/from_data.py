"""A refresh by hand: from a folder, or from a revision of the versioned data, with the champion of this moment."""

import tempfile
from pathlib import Path

from components.fetch_champion.step import fetch_champion
from components.ingest.step import ingest
from components.items.refresh import Refreshed, refresh
from components.storage.locks import alone
from components.tracking.models import Models


def refresh_from(
    data: Path | None, repository: Path, revision: str, models: Models, workspace: Path, by: str, note: str
) -> Refreshed:
    """A second refresh in the same workspace is refused."""
    cache = workspace / "cache"
    with alone(cache / "items.lock", wait=False), tempfile.TemporaryDirectory(prefix="mmctr-items-") as scratch:
        champion, dataset = Path(scratch) / "champion", data
        fetch_champion(models.name, champion, models.server)
        if dataset is None:
            dataset = Path(scratch) / "dataset"
            ingest(str(repository), revision, dataset, cache / "data")
        return refresh(dataset, champion, models, cache / "embeddings", by, note)
