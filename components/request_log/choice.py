"""Who is chosen, for the log's sample and for a challenger's share: the same users on every server, at every time.

Also what stands in the log for a user: a keyed hash, which nobody can compute or look up without the key.
"""

import hashlib
import hmac
import re

from components.errors import StepError

SALT = "MMCTR_LOG_SALT"
_SHORTEST_SALT = 16
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,64}")


def place(purpose: str, key: str) -> float:
    """From 0 to 1, evenly over all keys; another purpose gives every key another place."""
    digest = hashlib.blake2b(f"{purpose}\n{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def checked_salt(salt: str | None) -> bytes:
    if salt is None or len(salt) < _SHORTEST_SALT:
        found = "not set" if salt is None else f"{len(salt)} characters long"
        raise StepError(
            f"{SALT} is {found}; must be a secret of at least {_SHORTEST_SALT} characters, the same for all servers: "
            "the log holds users as hashes with this key"
        )
    return salt.encode()


def pseudonym(salt: bytes, user: str) -> str:
    return hmac.new(salt, user.encode(), hashlib.sha256).hexdigest()[:32]


def fits_request_id(text: str) -> bool:
    return _REQUEST_ID.fullmatch(text) is not None
