"""Ingest: fetches exactly one revision of the data, or takes one folder as it is, and records where it came from."""

from collections.abc import Iterator
from pathlib import Path

from components.dataset.images import image_files
from components.dataset.layout import IMPORTED, ITEM_IDS, SPLITS, USER_IDS, find_file
from components.dataset.lineage import Lineage, code_facts, grouped
from components.dataset.packing import pack_loose_images
from components.errors import StepError, redacted
from components.ingest.manifest import ListedFile, manifest_md5, md5_file, read_manifest
from components.ingest.objects import ObjectCache, ObjectSource, Patience, ensure_space
from components.ingest.revision import Revision, resolve
from components.ingest.sources import Committed, LocalCache
from components.ingest.staging import copy, link, staged
from components.ingest.workspace import refuse_changed_data, refuse_uncommitted_pointer
from components.process.progress import progress
from components.schema.declared import FILE
from components.storage.versioning import Remote, open_remote

_NEEDED = (*(f"{split}.parquet" for split in SPLITS), "item_feature.parquet")
_WELCOME = (FILE, "item_info.parquet", "truth.json", USER_IDS, ITEM_IDS, IMPORTED)


def ingest(
    repository: str,
    revision: str,
    out: Path,
    cache: Path,
    remote: str = "",
    patience: Patience = Patience(),  # noqa: B008  frozen
) -> Lineage:
    """Materialises the data that `revision` of `repository` names. `remote` is a URL instead of the revision's own.

    HEAD of a checkout means the files in it, so a `data/` or `data.dvc` with uncommitted changes is refused. Loose
    images are packed into shards; the lineage names the files as the revision has them.
    """
    found = resolve(repository, revision, cache)
    if revision == "HEAD" and found.checkout:
        refuse_uncommitted_pointer(found.checkout)
    place = open_remote(found.config, found.checkout, remote)
    objects, sources = ObjectCache(cache, patience), _sources(found, place)
    entries = _manifest(found, objects, sources)
    if revision == "HEAD" and found.checkout:
        refuse_changed_data(found.checkout, entries)
    _materialise(entries, objects, sources, found.size)
    with staged(out) as folder:
        for entry in entries:
            link(objects.path(entry.md5), folder / entry.path)
        lineage = Lineage(
            repository=redacted(repository),
            revision=revision,
            data_commit=found.commit,
            data_md5=f"{found.data_md5}.dir",
            files=grouped({e.path: _facts(e, folder) for e in entries}),
            size=sum((folder / e.path).stat().st_size for e in entries),
            remote=place.location,
            **code_facts(),
        )
        pack_loose_images(folder)
        lineage.write(folder)
    return lineage


def fetch_files(repository: str, revision: str, names: tuple[str, ...], cache: Path) -> dict[str, Path]:
    """Some files of a revision, checked, in the cache; used to compare revisions without fetching images."""
    found = resolve(repository, revision, cache)
    sources = _sources(found, open_remote(found.config, found.checkout))
    objects = ObjectCache(cache)
    entries = [entry for entry in _manifest(found, objects, sources) if entry.path in names]
    missing = sorted(set(names) - {entry.path for entry in entries})
    if missing:
        raise StepError(
            f"the data of {revision} lacks {', '.join(missing)}: is it a dataset in the challenge's layout?"
        )
    with progress(f"fetch {revision}", len(entries), "files") as bar:
        for entry in entries:
            objects.obtain(entry.md5, entry.path, sources)
            bar.advance()
    return {entry.path: objects.path(entry.md5) for entry in entries}


def ingest_folder(folder: Path, out: Path) -> Lineage:
    """Takes a folder in the challenge's layout as it is: the files of the contract are copied, others are left out.

    The run gets bytes of its own (shared blocks where the file system can, else a copy), because the folder belongs to
    a user who may overwrite a file during the run. The lineage describes the copy, before its loose images are packed.
    """
    sources = dict(contract_files(folder))
    entries = []
    total = sum(path.stat().st_size for path in sources.values())
    with staged(out) as staging, progress("copy and hash data", total, "bytes") as bar:
        for name, path in sources.items():
            copy(path, staging / name)
            entries.append(ListedFile(name, md5_file(staging / name, bar.advance)))
        lineage = Lineage(
            repository="",
            revision="",
            data_commit=None,
            data_md5=f"{manifest_md5(entries)}.dir",
            files=grouped({e.path: _facts(e, staging) for e in entries}),
            size=sum((staging / e.path).stat().st_size for e in entries),
            remote=str(folder),
            **code_facts(),
        )
        pack_loose_images(staging)
        lineage.write(staging)
    return lineage


def listed_files(found: Revision, cache: Path) -> list[ListedFile]:
    """What a revision's data consists of."""
    return _manifest(found, ObjectCache(cache), _sources(found, open_remote(found.config, found.checkout)))


def _manifest(found: Revision, objects: ObjectCache, sources: list[ObjectSource]) -> list[ListedFile]:
    return read_manifest(objects.obtain(f"{found.data_md5}.dir", "data/", sources).read_bytes())


def _sources(found: Revision, place: Remote) -> list[ObjectSource]:
    sources: list[ObjectSource] = [LocalCache(found.checkout / ".dvc" / "cache")] if found.checkout else []
    if found.checkout or not place.inside:
        sources.append(place)
    if place.inside:
        sources.append(Committed(found, place.inside))
    return sources


def _materialise(entries: list[ListedFile], objects: ObjectCache, sources: list[ObjectSource], size: int) -> None:
    here = sum(path.stat().st_size for e in entries if (path := objects.path(e.md5)).is_file())
    ensure_space(objects.root, size - here)
    with progress("fetch data", size, "bytes") as bar:
        objects.fill(entries, sources, bar)


def _facts(entry: ListedFile, folder: Path) -> dict[str, object]:
    return {"md5": entry.md5, "size": (folder / entry.path).stat().st_size}


def contract_files(folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        raise StepError(f"{folder} is not a folder: give the one that holds {', '.join(_NEEDED)}")
    missing = [name for name in _NEEDED if find_file(folder, name) is None]
    if missing:
        raise StepError(
            f"{folder} lacks {', '.join(missing)}: a dataset is {', '.join(_NEEDED)} and, if there, item_info.parquet "
            "and images; mmctr import --help converts other data"
        )
    for name in (*_NEEDED, *_WELCOME):
        path = find_file(folder, name)
        if path is not None:
            yield name, path
    for path in image_files(folder):
        yield path.relative_to(folder).as_posix(), path
