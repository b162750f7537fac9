"""What a policy does on a night, and which names are policies."""

import pytest

from studies.replay.policies import DEFAULT, Policy, parse_policies, parse_policy


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("never", ["nothing"] * 8),
        ("cold nightly", ["cold"] * 8),
        ("cold weekly", ["cold", *["nothing"] * 6, "cold"]),
        ("warm nightly", ["warm"] * 8),
        ("warm nightly + cold weekly", ["cold", *["warm"] * 6, "cold"]),
        ("drift 0.5", ["ask drift"] * 8),
        ("cold weekly + drift 0.5", ["cold", *["ask drift"] * 6, "cold"]),
    ],
)
def test_what_it_does_on_each_night(name: str, actions: list[str]) -> None:
    assert [parse_policy(name).action(night, has_champion=True) for night in range(8)] == actions


def test_without_a_champion_every_policy_trains() -> None:
    assert {policy.action(3, has_champion=False) for policy in parse_policies(DEFAULT)} == {"cold"}


def test_names_are_read_with_any_spaces() -> None:
    assert parse_policies(" cold   nightly ,never,") == (Policy("cold nightly", cold=1), Policy("never"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" , ", "must name at least one of never, cold or warm"),
        ("never, never", "'never' is there twice"),
        ("hourly", "'hourly' is no policy; must be never, cold or warm"),
        ("cold nightly + cold weekly", "'cold weekly' can't be; each part once"),
        ("drift 0", "a drift above 0"),
        ("drift -1", "'drift -1' is no policy"),
    ],
)
def test_wrong_names_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="--policies") as error:
        parse_policies(text)
    assert message in str(error.value)
