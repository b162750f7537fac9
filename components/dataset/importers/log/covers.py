"""Takes the pictures of the items along, named by the items' new ids, in a few archives."""

import tarfile
from collections.abc import Callable, Iterator
from functools import partial
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
    pictures = _pictures(covers)
    by_stem = {Path(file).stem: file for file in pictures}
    source = "SELECT id, cover FROM item_ids JOIN items USING (raw)" if named else "SELECT id, raw FROM item_ids"
    found: list[tuple[int, str]] = []
    for item, wanted in engine.rows(f"{source} ORDER BY id"):
        file = None if wanted is None else Path(wanted).name if named else by_stem.get(wanted)
        if file in pictures:
            found.append((item, file))
    if not found:
        how = "the item table's column of covers says" if named else "the items' own ids say"
        raise StepError(f"{covers}: none of its {len(pictures)} pictures is named as {how}")
    with progress("pack covers", len(found), "pictures") as bar:

        def members() -> Iterator[tuple[str, bytes]]:
            for item, file in found:
                yield f"{item}{Path(file).suffix.lower()}", pictures[file]()
                bar.advance()

        write_shards(members(), lambda number: out / f"item_images-{number:05d}.tar")
    (items,) = engine.row("SELECT count(*) FROM item_ids WHERE listed")
    return f"{len(found):,} of {items:,} items have a picture; {len(pictures) - len(found):,} pictures are of no item"


def _pictures(covers: Path) -> dict[str, Callable[[], bytes]]:
    """File name -> a function that reads it, of the pictures in a folder or a tar."""
    if covers.is_dir():
        files = [path for path in sorted(covers.rglob("*")) if path.suffix.lower() in _SUFFIXES and path.is_file()]
        return {path.name: path.read_bytes for path in files}
    if not covers.is_file():
        raise StepError(f"{covers} is not there: --covers must be a folder or a tar of .jpg or .png files")
    try:
        with tarfile.open(covers, "r:") as tar:
            members = [(Path(m.name).name, m.offset_data, m.size) for m in tar if m.isfile()]
    except (tarfile.TarError, OSError, ValueError) as error:
        raise StepError(f"{covers} is not a readable tar of pictures ({error}): make it again, uncompressed") from None
    wanted = [member for member in members if Path(member[0]).suffix.lower() in _SUFFIXES]
    return {name: partial(_read, covers, offset, size) for name, offset, size in wanted}


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
