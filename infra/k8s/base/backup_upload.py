"""Uploads a database dump under the time it was made, and deletes the oldest dumps beyond `--keep`.

    python3 backup_upload.py DUMP s3://bucket/backups --keep 56

Runs in the cpu image, which has `components.storage.objects`. An empty dump is refused, because it would replace a good
one.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from components.errors import StepError
from components.storage.objects import Store, open_store

MAGIC = b"PGDMP"  # how pg_dump's custom format begins


def upload(dump: Path, store: Store, keep: int, now: datetime) -> str:
    with dump.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise StepError(f"{dump} is no dump of pg_dump --format=custom: nothing was uploaded, nothing deleted")
    name = f"mlflow-{now:%Y%m%dT%H%M%SZ}.dump"
    store.upload(name, dump)
    size = store.listing(name).get(name)
    if size != dump.stat().st_size:
        raise StepError(f"{name} has {size} bytes in the store and {dump.stat().st_size} here: nothing was deleted")
    for old in sorted(store.listing("mlflow-"))[:-keep]:
        store.delete(old)
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("store")
    parser.add_argument("--keep", type=int, default=56)
    given = parser.parse_args()
    name = upload(given.dump, open_store(given.store), max(1, given.keep), datetime.now(UTC))
    print(f"{given.store}/{name}")


if __name__ == "__main__":
    main()
