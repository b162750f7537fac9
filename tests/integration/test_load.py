"""The short form of `make load`: a server process under mixed load gives no wrong answer."""

import pytest

from benchmarks.load import ask, requests
from benchmarks.served import served

pytestmark = pytest.mark.integration


def test_mixed_requests_at_a_steady_rate_and_at_full_speed_are_answered_as_they_must_be() -> None:
    made = requests(seed=1, count=60)
    assert {request.kind for request in made} == {"rank", "binary", "score", "wrong"}
    with served("best, small", "eager") as server:
        for a_second in (10.0, None):
            seen = ask(server, made, a_second, 6.0)
            assert seen.wrong == []
            assert set(seen.seconds) == {"rank", "binary", "score", "wrong"}
