"""Which errors of a collective mean that another process, its host or the network is gone."""

import pytest
from torch import distributed

from components.train.ranks import is_lost_contact


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("[/x/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"), True),
        (RuntimeError("[/x/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 1ms"), True),
        (RuntimeError("Application timeout caused pair closure"), True),
        (distributed.DistNetworkError("the store is gone"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_lost_contact_is_told_from_other_errors(error: RuntimeError, expected: bool) -> None:
    assert is_lost_contact(error) is expected
