import json
import re

import pytest

from components.run_config import RunConfig
from components.settings import config_hash, from_dict, to_dict, with_overrides

PLAIN = RunConfig("plain")


def test_a_config_survives_json() -> None:
    changed = with_overrides(
        PLAIN, ["model.deep_widths=32,16", "train.learning_rate=0.01", "model.content=concat,init"]
    )
    assert from_dict(RunConfig, json.loads(json.dumps(to_dict(changed)))) == changed


@pytest.mark.parametrize(
    ("override", "section", "field", "expected"),
    [
        ("train.batch_size=4096", "train", "batch_size", 4096),
        ("train.learning_rate=1", "train", "learning_rate", 1.0),
        ("model.row_features=false", "model", "row_features", False),
        ("model.content=", "model", "content", ()),
        ("model.content=concat, similarity", "model", "content", ("concat", "similarity")),
        ("model.head_widths=(8,4)", "model", "head_widths", (8, 4)),
        ("model.interest=din", "model", "interest", "din"),
    ],
)
def test_an_override_is_read_by_the_type_of_its_field(
    override: str, section: str, field: str, expected: object
) -> None:
    value = getattr(getattr(with_overrides(PLAIN, [override]), section), field)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.batch_size", "must look like field=value"),
        ("train.batchsize=1", "no such field; did you mean 'batch_size'? There is"),
        ("trian.seed=1", "no such section 'trian'; did you mean 'train'? There is"),
        ("train.zzz=1", "no such field; there is"),
        ("trian.batch_size=1", "no such section 'trian'"),
        ("train=1", "train is a section; name one of"),
        ("train.batch_size=many", "train.batch_size = 'many': must be a whole number"),
        ("train.batch_size=0", "train.batch_size = 0: must be at least 1"),
        ("model.row_features=yes", "must be true or false"),
        ("model.interest=magic", "model.interest = 'magic': must be one of 'transformer'"),
        ("model.content=concat,concat", "names a use twice"),
        ("train.learning_rate=nan", "must be at least"),
    ],
)
def test_a_wrong_override_names_the_field_the_value_and_what_is_allowed(override: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        with_overrides(PLAIN, [override])


def test_an_unknown_field_in_a_saved_config_is_refused() -> None:
    values = to_dict(PLAIN) | {"surprise": 1}
    with pytest.raises(ValueError, match="surprise: no such field"):
        from_dict(RunConfig, values)


def test_the_hash_names_the_content_not_the_order() -> None:
    assert config_hash(PLAIN) == config_hash(RunConfig("plain"))
    assert config_hash(PLAIN) != config_hash(with_overrides(PLAIN, ["train.seed=2"]))
