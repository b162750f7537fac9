"""Whatever the files hold, an importer converts them or says in one line what is wrong."""

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.images import ImageFolder
from components.dataset.importers import microlens, movielens
from components.dataset.layout import SPLITS, split_path
from components.errors import StepError

_cells = st.one_of(
    st.integers(-5, 60).map(str),
    st.sampled_from(["", "1.5", "nan", "inf", "-0", "9" * 17, "9" * 30, "|", "a|b||a", '"', "x,y", "é", "\x00", "0x1"]),
    st.text(max_size=6),
)
_headers = st.sampled_from(
    [
        "user_id,item_id,rating,timestamp",
        "item_id,title,genres,keywords,overview",
        "timestamp,rating,item_id,user_id,more",
    ]
)


@st.composite
def _csv(draw: st.DrawFn) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    rows = draw(st.lists(st.lists(_cells, min_size=1, max_size=6).map(",".join), max_size=12))
    return "\n".join([draw(_headers), *rows]).encode("utf-8", "surrogatepass")


@st.composite
def _mostly_good_ratings(draw: st.DrawFn) -> bytes:
    """Logs that get past the checks: few users and items, equal and huge timestamps, any order."""
    pairs = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), unique=True, min_size=1, max_size=24))
    times = draw(st.lists(st.integers(0, 10**15) | st.integers(0, 9), min_size=len(pairs), max_size=len(pairs)))
    lines = [f"{user},{item},{user % 6},{time}" for (user, item), time in zip(pairs, times, strict=True)]
    return ("user_id,item_id,rating,timestamp\n" + "\n".join(lines)).encode()


_GOOD_ITEMS = ("item_id,title,genres,keywords,overview\n" + "\n".join(f"{i},t,g,k,o" for i in range(1, 7))).encode()


def _convert(ratings: bytes, items: bytes, posters: bytes) -> None:
    with TemporaryDirectory() as name:
        source = Path(name)
        (source / "ratings.csv").write_bytes(ratings)
        (source / "items.csv").write_bytes(items)
        if posters:
            (source / "posters.tar").write_bytes(posters)
        refusal = ""
        try:
            movielens(source, source / "out")
        except StepError as error:
            refusal = str(error)
        assert "\n" not in refusal
        made = [split_path(source / "out", split).is_file() for split in SPLITS]
        assert made == [not refusal] * len(SPLITS)


@settings(max_examples=150)
@given(_csv(), _csv(), st.binary(max_size=50))
def test_movielens_of_any_files(ratings: bytes, items: bytes, posters: bytes) -> None:
    _convert(ratings, items, posters)


@settings(max_examples=60)
@given(_mostly_good_ratings(), st.binary(max_size=50))
def test_movielens_of_plausible_files(ratings: bytes, posters: bytes) -> None:
    _convert(ratings, _GOOD_ITEMS, posters)


@settings(max_examples=60)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_microlens_of_any_files(rows: bytes, items: bytes) -> None:
    with TemporaryDirectory() as name:
        for file, data in (("train", rows), ("valid", items), ("test", rows), ("item_feature", items)):
            (Path(name) / f"{file}.parquet").write_bytes(data)
        assert microlens(Path(name)).problems


@settings(max_examples=200)
@given(st.binary(max_size=2_000), st.integers(0, 2_000), st.binary(min_size=1, max_size=20))
def test_the_reader_of_images_of_any_shard(data: bytes, place: int, junk: bytes) -> None:
    with TemporaryDirectory() as name:
        shard = Path(name) / "item_images-00000.tar"
        for content in (data, data[:place] + junk + data[place:]):
            shard.write_bytes(content)
            with contextlib.suppress(StepError):
                images = ImageFolder(Path(name))
                assert len([images.read(item) for item in images.ids()]) == len(images)
