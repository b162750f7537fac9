"""The policy refuses nonsense by name, and every limit in it is held by a rule."""

from dataclasses import fields

import pytest

from components.settings import from_dict, to_dict, with_overrides
from components.validate.config import ValidatePolicy
from components.validate.suite import BY_NAME, RULES, Between, Filled

MEASURED_BY = {"severities", "examples", "min_history", "images_decoded"}  # used while measuring


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
