"""Takes the pictures of the items along, named by the items' new ids, in a few archives."""

from collections.abc import Iterator
from pathlib import Path

from components.dataset.importers.log.engine import Engine
from components.dataset.packing import write_shards
from components.errors import StepError
from components.process.progress import progress

_SUFFIXES = (".jpg", ".jpeg", ".png")


def copy_covers(engine: Engine, covers: Path, named: bool, out: Path) -> str:
    """Writes the archives and says how many items have a picture.

    `named`: the item table names each file. Otherwise a file is called by the item's own id, such as `sku-5.jpg`.
    """
    if not covers.is_dir():
        raise StepError(f"{covers} is not a folder: --covers must hold one .jpg or .png for each item")
    files = {
        path.name: path for path in sorted(covers.rglob("*")) if path.suffix.lower() in _SUFFIXES and path.is_file()
    }
    by_stem = {path.stem: path for path in files.values()}
    listed = "cover" if named else "raw"
    source = f"SELECT id, {listed} FROM item_ids " + ("JOIN items USING (raw) " if named else "") + "ORDER BY id"
    found: list[tuple[int, Path]] = []
    for item, wanted in engine.rows(source):
        path = None if wanted is None else files.get(Path(wanted).name) if named else by_stem.get(wanted)
        if path is not None:
            found.append((item, path))
    if not found:
        how = "the item table's column of covers" if named else "the items' own ids"
        raise StepError(f"{covers}: none of its {len(files)} pictures is named as {how} say")
    write_shards(_members(found), lambda number: out / f"item_images-{number:05d}.tar")
    (items,) = engine.row("SELECT count(*) FROM item_ids WHERE listed")
    return f"{len(found):,} of {items:,} items have a picture; {len(files) - len(found):,} pictures are of no item"


def _members(found: list[tuple[int, Path]]) -> Iterator[tuple[str, bytes]]:
    with progress("pack covers", len(found), "pictures") as bar:
        for item, path in found:
            yield f"{item}{path.suffix.lower()}", path.read_bytes()
            bar.advance()
