"""The policy refuses nonsense by name, and every limit in it is held by a rule."""

import re
from dataclasses import fields

import pytest

from components.settings import from_dict, to_dict, with_overrides
from components.validate.config import ESSENTIAL, ValidatePolicy
from components.validate.suite import BY_NAME, RULES, Between, Filled
from components.validate.verdict import stop_message
from tests.ranges import Row, assert_other_defaults, assert_ranges

MEASURED_BY = {"severities", "users", "examples", "min_history", "images_decoded"}  # used while measuring

NUMBERS: dict[str, Row] = {
    "examples": (10, 0, None),
    "min_rows": (100, 0, None),
    "min_history": (1, 0, None),
    "max_short_histories": (0.2, 0.0, 1.0),
    "max_quarantined": (0.01, 0.0, 1.0),
    "min_label_rate": (0.01, 0.0, 1.0),
    "max_label_rate": (0.6, 0.0, 1.0),
    "max_label_rate_gap": (0.1, 0.0, 1.0),
    "max_level_mismatch": (0.01, 0.0, 1.0),
    "min_level_agreement": (0.5, 0.0, 1.0),
    "max_top_item": (0.5, 0.0, 1.0),
    "max_top_user": (0.5, 0.0, 1.0),
    "max_top_history": (0.5, 0.0, 1.0),
    "max_item_id": (20000000, 0, None),
    "min_titles": (0.98, 0.0, 1.0),
    "max_same_title": (0.5, 0.0, 1.0),
    "min_tagged": (0.9, 0.0, 1.0),
    "max_same_tags": (0.8, 0.0, 1.0),
    "min_images": (0.9, 0.0, 1.0),
    "min_decodable": (0.99, 0.0, 1.0),
    "images_decoded": (2000, 0, None),
    "max_same_image": (0.2, 0.0, 1.0),
    "max_missing": (0.5, 0.0, 1.0),
    "max_missing_gap": (0.2, 0.0, 1.0),
    "max_unknown": (0.3, 0.0, 1.0),
    "max_zero_vectors": (0.05, 0.0, 1.0),
    "max_same_vector": (0.2, 0.0, 1.0),
    "max_constant_dimensions": (0.1, 0.0, 1.0),
    "min_coherence": (3.0, 0.0, None),
    "max_shared_users": (0.8, 0.0, 1.0),
    "max_copied_rows": (0.005, 0.0, 1.0),
    "max_clicked_before": (0.1, 0.0, 1.0),
    "max_item_ctr_auc": (0.97, 0.0, 1.0),
    "max_feature_auc": (0.95, 0.0, 1.0),
    "max_row_order_auc": (0.6, 0.0, 1.0),
    "max_one_sided_users": (0.8, 0.0, 1.0),
    "min_label_signal": (4.0, 0.0, None),
    "psi_warn": (0.25, 0.0, None),
    "psi_stop": (2.0, 0.0, None),
    "items_psi_warn": (0.5, 0.0, None),
    "items_psi_stop": (4.0, 0.0, None),
    "ks_warn": (0.15, 0.0, 1.0),
    "ks_stop": (0.6, 0.0, 1.0),
    "label_rate_warn": (0.05, 0.0, 1.0),
    "label_rate_stop": (0.2, 0.0, 1.0),
    "unseen_warn": (0.3, 0.0, 1.0),
    "unseen_stop": (0.9, 0.0, 1.0),
    "embedding_warn": (0.25, 0.0, None),
    "embedding_stop": (1.0, 0.0, None),
}
OTHERS = {
    "severities": (),
    "users": "apart",
}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("max_label_rate=1.5", "validate.max_label_rate = 1.5: must lie in"),
        ("min_rows=-1", "validate.min_rows = -1: must be at least 0"),
        ("psi_warn=nan", "validate.psi_warn = nan: must be at least 0"),
        ("severities=users-apart", "must look like rule=severity"),
        ("severities=users-together=warn", "'users-together': must be one of"),
        ("severities=users-apart=shout", "'shout': must be one of 'stop', 'quarantine', 'warn'"),
        ("severities=users-apart=quarantine", "only a rule about single rows can move rows aside"),
    ],
)
def test_nonsense_is_refused_by_name(override: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"validate\.") as refused:
        with_overrides(ValidatePolicy(), [override])
    assert words in str(refused.value)


def test_the_last_severity_counts() -> None:
    policy = with_overrides(ValidatePolicy(), ["severities=users-apart=warn,rows-distinct=stop,users-apart=stop"])
    assert policy.severity(BY_NAME["users-apart"]) == "stop"
    assert policy.severity(BY_NAME["rows-distinct"]) == "stop"
    assert policy.severity(BY_NAME["rows-apart"]) == "stop"


def test_severities_of_several_options_add_up() -> None:
    policy = with_overrides(
        ValidatePolicy(severities=("rows-distinct=warn",)),
        ["severities=users-apart=warn", "severities=items-vary=warn", "severities=users-apart=stop"],
    )
    assert policy.severities == ("rows-distinct=warn", "users-apart=stop", "items-vary=warn")


@pytest.mark.parametrize("name", ESSENTIAL)
def test_a_rule_that_training_needs_is_not_lowered_and_no_such_remedy_is_printed(name: str) -> None:
    with pytest.raises(ValueError, match="can't be lowered to a warning, because training refuses data that breaks it"):
        ValidatePolicy(severities=(f"{name}=warn",))
    broken = {"name": name, "passed": False, "severity": "stop", "message": name}
    assert "--set" not in stop_message({"rules": [broken, {**broken, "name": "users-apart"}]})


def test_the_printed_remedies_can_be_typed() -> None:
    broken = {"passed": False, "severity": "stop", "message": ""}
    names = ("users-apart", "quarantine-small", "items-vary")
    message = stop_message({"rules": [{**broken, "name": name} for name in names]})
    options = re.findall(r"--set validate\.(severities=\S+)", message)
    policy = with_overrides(ValidatePolicy(), options)
    assert {policy.severity(BY_NAME[name]) for name in names} == {"warn"}
    assert "--set validate.users=returning" in message


def test_a_log_of_returning_users_warns_where_it_would_stop() -> None:
    policy = with_overrides(ValidatePolicy(), ["users=returning", "severities=future-apart=stop"])
    found = {name: policy.severity(BY_NAME[name]) for name in ("users-apart", "target-not-in-history", "future-apart")}
    assert found == {"users-apart": "warn", "target-not-in-history": "warn", "future-apart": "stop"}
    assert policy.severity(BY_NAME["rows-distinct"]) == "quarantine"


def test_a_policy_survives_json() -> None:
    policy = ValidatePolicy(severities=("users-apart=warn",), psi_warn=0.1)
    assert from_dict(ValidatePolicy, to_dict(policy)) == policy


def test_every_limit_is_a_field_and_every_field_a_limit() -> None:
    named = set()
    for rule in RULES:
        bounds = (getattr(rule.check, name, None) for name in ("low", "high", "mostly"))
        named |= {bound for bound in bounds if isinstance(bound, str)}
    assert named | MEASURED_BY == {field.name for field in fields(ValidatePolicy)}


def test_the_suite_reads_as_a_table() -> None:
    assert len(BY_NAME) == len(RULES)
    for rule in RULES:
        assert rule.what[0].islower(), rule.name
        assert not rule.what.endswith("."), rule.name
        assert rule.why.endswith("."), rule.name
        assert rule.severity != "quarantine" or rule.table == "rows", rule.name
        assert not isinstance(rule.check, Filled) or rule.table == "items", rule.name
        assert not isinstance(rule.check, Between) or (rule.check.low, rule.check.high) != (None, None), rule.name


def test_each_number_has_its_default_and_its_range() -> None:
    assert_ranges(ValidatePolicy(), NUMBERS, "validate")
    assert_other_defaults(ValidatePolicy(), NUMBERS, OTHERS)
