"""Accidents that ruin a click model, each with the rule that is meant to catch it and words its message must hold."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import layout
from tests.unit.validate import damages as by
from tests.unit.validate.good_data import edit, ints, shuffled, with_column

_BERT, _CLIP = layout.TEXT_EMBEDDING, layout.IMAGE_EMBEDDING


@dataclass(frozen=True)
class Accident:
    name: str
    rule: str
    words: str
    damage: by.Damage
    champion: bool = False  # compared with a champion that was trained on the good data


_ALL = (*layout.SPLITS, "item_feature")

FILES = [
    Accident("truncated parquet", "files-readable", "train.parquet", by.cut("train.parquet", 0.6)),
    Accident("empty file", "files-readable", "test.parquet", by.overwrite("test.parquet", b"")),
    Accident(
        "error page saved as data",
        "files-readable",
        "valid.parquet",
        by.overwrite("valid.parquet", b"<html>403 Forbidden</html>"),
    ),
    Accident(
        "text table under a parquet name",
        "files-readable",
        "train.parquet",
        by.overwrite("train.parquet", b"user_id,item_id\n1,2\n"),
    ),
    Accident("pages overwritten, footer whole", "files-readable", "breaks after row", by.scramble_pages),
    Accident("titles in another encoding", "files-readable", "UTF8", edit("item_feature", by.latin_titles)),
    Accident("items not uploaded", "files-present", "item_feature.parquet", by.remove("item_feature.parquet")),
    Accident("split not uploaded", "files-present", "valid.parquet", by.remove("valid.parquet")),
    Accident(
        "renamed column",
        "columns-present",
        "item_seq",
        edit("train", lambda t: t.rename_columns([n.replace("item_seq", "history") for n in t.column_names])),
    ),
    Accident("train without label", "columns-present", "label", edit("train", lambda t: t.drop_columns(["label"]))),
    Accident("float ids", "column-types", "item_id is double", edit("train", by.cast(layout.ITEM, pa.float64()))),
    Accident(
        "levels as text", "column-types", "likes_level is string", edit("valid", by.cast("likes_level", pa.string()))
    ),
    Accident(
        "histories as text",
        "column-types",
        "item_seq is string",
        edit("test", lambda t: with_column(t, "item_seq", [str(v) for v in t.column("item_seq").to_pylist()])),
    ),
    Accident(
        "nulls after a left join",
        "no-nulls",
        "train.parquet",
        edit(
            "train",
            lambda t: with_column(
                t,
                "views_level",
                pc.if_else(pc.equal(t.column("views_level"), 3), pa.scalar(None, pa.int64()), t.column("views_level")),
            ),
        ),
    ),
    Accident(
        "nulls inside histories",
        "no-nulls",
        "valid.parquet",
        edit(
            "valid",
            lambda t: with_column(
                t,
                "item_seq",
                pa.array([[None, *row[1:]] for row in t.column("item_seq").to_pylist()], pa.list_(pa.int64())),
            ),
        ),
    ),
]

ROWS = [
    Accident(
        "ids off by one",
        "target-known",
        "rows do not",
        edit("train", lambda t: with_column(t, "item_id", ints(t, "item_id") + 1)),
    ),
    Accident(
        "ids off by one, none unknown",
        "levels-agree",
        "train",
        edit("train", lambda t: with_column(t, "item_id", np.maximum(ints(t, "item_id") - 1, 1))),
    ),
    Accident(
        "histories of another id space",
        "history-known",
        "train",
        edit("train", by.history(lambda h: np.where(h > 0, h + 1000, 0))),
    ),
    Accident(
        "targets lost to padding", "target-not-padding", "valid", edit("valid", by.put("item_id", slice(0, 40), 0))
    ),
    Accident("overflowed user ids", "user-valid", "train", edit("train", by.put("user_id", slice(5, 9), -2147483648))),
    Accident("right-padded histories", "left-padding", "1,500 rows", edit("train", by.history(by.right_pad))),
    Accident("hole inside histories", "left-padding", "test", edit("test", by.history(by.hole))),
    Accident(
        "histories too wide",
        "history-width",
        "train",
        edit("train", by.history(lambda h: np.concatenate([np.zeros((len(h), 50), np.int64), h], axis=1))),
    ),
    Accident("emptied histories", "history-filled", "valid: 1", edit("valid", by.history(np.zeros_like))),
    Accident("level beyond the last", "levels-range", "train", edit("train", by.put("likes_level", slice(3, 6), 11))),
    Accident("level for unknown is -1", "levels-range", "test", edit("test", by.put("views_level", slice(0, 1), -1))),
    Accident(
        "ratings as labels",
        "label-binary",
        "train",
        edit("train", lambda t: with_column(t, "label", np.arange(t.num_rows) % 5 + 1)),
    ),
    Accident(
        "labels of -1 and 1",
        "label-binary",
        "valid",
        edit("valid", lambda t: with_column(t, "label", 2 * ints(t, "label") - 1)),
    ),
    Accident("time-travelling history", "target-not-in-history", "375 rows", edit("train", by.travel)),
    Accident("doubled export", "rows-distinct", "1,500 rows", edit("train", lambda t: pa.concat_tables([t, t]))),
    Accident("swapped columns", "levels-agree", "train", edit("train", by.swap("likes_level", "views_level"))),
    Accident(
        "levels of other items, as of each click",
        "levels-follow",
        "train",
        edit(
            "train",
            lambda t: shuffled(t, ["likes_level", "views_level"]).replace_schema_metadata(layout.LEVELS_AS_OF_CLICK),
        ),
    ),
    Accident("swapped ids", "target-known", "valid", edit("valid", by.swap("user_id", "item_id"))),
    Accident(
        "column shifted by a row",
        "levels-agree",
        "test",
        edit("test", lambda t: with_column(t, "likes_level", np.roll(ints(t, "likes_level"), 1))),
    ),
    Accident(
        "inverted labels",
        "label-rate",
        "0.75",
        by.everywhere(lambda t: with_column(t, "label", 1 - ints(t, "label")), layout.SPLITS),
    ),
    Accident("negatives lost", "label-rate", "train", edit("train", by.lose_negatives(0.95))),
    Accident("valid sampled otherwise", "label-rate-agrees", "valid", edit("valid", by.lose_negatives(0.6))),
    Accident("train and valid mixed up", "train-largest", "test", by.swap_files("train.parquet", "valid.parquet")),
    Accident("export cut short", "split-size", "valid", edit("valid", lambda t: t.slice(0, 20))),
    Accident("constant levels", "levels-vary", "valid", edit("valid", by.put("likes_level", slice(None), 1))),
    Accident("default item id", "items-vary", "train", edit("train", by.put("item_id", slice(0, 900), 1))),
    Accident("default user id", "users-vary", "train", edit("train", by.put("user_id", slice(0, 900), 1))),
    Accident("one history for all", "histories-vary", "test", edit("test", by.same("item_seq"))),
]

ITEMS = [
    Accident(
        "mixed-up item rows",
        "levels-agree",
        "train",
        edit("item_feature", lambda t: shuffled(t, [n for n in t.column_names if n != "item_id"])),
    ),
    Accident(
        "tags of other items", "content-fits-items", "tags", edit("item_feature", lambda t: shuffled(t, ["item_tags"]))
    ),
    Accident(
        "vectors of other items", "content-fits-items", _BERT, edit("item_feature", lambda t: shuffled(t, [_BERT]))
    ),
    Accident(
        "item rows doubled",
        "item-ids-distinct",
        "100 of 150 do not",
        edit("item_feature", lambda t: pa.concat_tables([t, t.slice(0, 50)])),
    ),
    Accident(
        "hashes as item ids",
        "item-ids-valid",
        "item_id",
        edit("item_feature", lambda t: with_column(t, "item_id", ints(t, "item_id") * 7_777_777_777)),
    ),
    Accident(
        "item level out of range",
        "item-levels-range",
        "1 of 100",
        edit("item_feature", by.put("views_level", slice(0, 1), 99)),
    ),
    Accident(
        "blank titles",
        "titles-filled",
        "50 of 100",
        edit("item_feature", by.titles(lambda i: " " if i % 2 else f"Item {i}")),
    ),
    Accident(
        "placeholder title", "titles-differ", "item_feature", edit("item_feature", by.titles(lambda _: "Untitled"))
    ),
    Accident(
        "tags lost",
        "tags-present",
        "100 of 100",
        edit("item_feature", lambda t: with_column(t, "item_tags", pa.array([[]] * 100, pa.list_(pa.int64())))),
    ),
    Accident(
        "negative tag",
        "tags-known",
        "1 of 100",
        edit(
            "item_feature",
            lambda t: with_column(
                t, "item_tags", pa.array([[-1], *t.column("item_tags").to_pylist()[1:]], pa.list_(pa.int64()))
            ),
        ),
    ),
    Accident("one tag list for all", "tags-differ", "item_feature", edit("item_feature", by.same("item_tags"))),
    Accident("pictures lost", "images-present", "60 of 100", by.pictures(lambda i, c: c if i <= 40 else None)),
    Accident(
        "truncated picture", "images-decodable", "7: ", by.pictures(lambda i, c: c[: len(c) // 2] if i % 20 == 7 else c)
    ),
    Accident(
        "error page as picture",
        "images-decodable",
        "markup",
        by.pictures(lambda i, c: b"<html>404</html>" if i % 20 == 9 else c),
    ),
    Accident("empty picture", "images-decodable", "empty", by.pictures(lambda i, c: b"" if i % 20 == 11 else c)),
    Accident("placeholder picture", "images-differ", "item_images", by.placeholder_pictures),
    Accident("truncated shard", "images-decodable", "not a readable tar", by.cut("item_images-00000.tar", 0.5)),
]


VECTORS = [
    Accident("NaN in a vector", "embeddings-finite", _CLIP, edit("item_feature", by.vectors(_CLIP, by.one_nan))),
    Accident("all-zero vectors", "embeddings-filled", _BERT, edit("item_feature", by.vectors(_BERT, np.zeros_like))),
    Accident("one vector for all", "embeddings-differ", _CLIP, edit("item_feature", by.same(_CLIP))),
    Accident("dead dimensions", "embeddings-alive", _BERT, edit("item_feature", by.vectors(_BERT, by.half_dead))),
    Accident("short vector", "embeddings-width", _BERT, edit("item_feature", by.short_vector)),
    Accident(
        "item_info without padding row", "item-info-rows", "row 0 holds item 1", edit("item_info", by.shift_item_info)
    ),
    Accident(
        "item_info in another order",
        "item-info-rows",
        "row",
        edit("item_info", lambda t: t.take(np.random.default_rng(1).permutation(t.num_rows))),
    ),
    Accident(
        "item_info of an older catalogue",
        "item-info-rows",
        "ends at item 90",
        edit("item_info", lambda t: t.slice(0, 91)),
    ),
    Accident(
        "item_info with tags of others",
        "item-info-tags",
        "item_info",
        edit("item_info", lambda t: shuffled(t, ["item_tags"])),
    ),
    Accident(
        "item_info with vectors of others",
        "content-fits-items",
        "item_emb_d128",
        edit("item_info", lambda t: shuffled(t, ["item_emb_d128"])),
    ),
]

LEAKS = [
    Accident("duplicated users", "users-apart", "test in train", by.users_of_train),
    Accident("histories from the whole log", "future-apart", "test in train", by.histories_of_the_whole_log),
    Accident("test rows from train", "rows-apart", "test in train", by.rows_of_train(fresh_users=False)),
    Accident(
        "test rows from train, users renewed", "histories-apart", "test in train", by.rows_of_train(fresh_users=True)
    ),
    Accident(
        "shuffled labels", "labels-carry-signal", "labels of train", edit("train", lambda t: shuffled(t, ["label"]))
    ),
    Accident("rows sorted by label", "row-order-random", "row order", edit("train", by.by_label)),
    Accident(
        "level counted after the click",
        "no-giveaway",
        "likes_level",
        edit("train", lambda t: with_column(t, "likes_level", 1 + 9 * ints(t, "label"))),
    ),
    Accident(
        "watch time left in",
        "no-giveaway",
        "watched_seconds",
        edit("train", lambda t: with_column(t, "watched_seconds", 30.0 * ints(t, "label"))),
    ),
    Accident("negatives of other people", "users-mixed", "user", edit("train", by.strangers_as_negatives)),
]

DRIFT = [
    Accident("levels binned otherwise", "likes-break", "likes_level", by.everywhere(by.rebin, _ALL), True),
    Accident("items renumbered", "unseen-items-break", "unseen items", by.everywhere(by.renumber, _ALL), True),
    Accident("tags renumbered", "tags-break", "tags", edit("item_feature", by.new_tags), True),
    Accident(
        "histories cut to one click",
        "length-break",
        "history length",
        by.everywhere(by.history(by.last_click_only), layout.SPLITS),
        True,
    ),
    Accident(
        "label rate jumped",
        "label-rate-break",
        "label rate",
        by.everywhere(by.lose_negatives(0.72), layout.SPLITS),
        True,
    ),
    Accident(
        "another encoder's offset",
        "embedding-break",
        _BERT,
        edit("item_feature", by.vectors(_BERT, lambda v: v + 1.0)),
        True,
    ),
    Accident(
        "another encoder's width",
        "embedding-break",
        _CLIP,
        edit("item_feature", by.vectors(_CLIP, lambda v: v[:, :512])),
        True,
    ),
]

ACCIDENTS = [*FILES, *ROWS, *ITEMS, *VECTORS, *LEAKS, *DRIFT]
