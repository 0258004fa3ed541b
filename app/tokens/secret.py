"""What a token looks like: fq_<role>_<id>_<secret><checksum>. Pure but for the randomness.

The id finds it by primary key, the checksum lets a mistyped or cut one be refused without asking
the database. The SHA-256 of the whole is what is stored: 256 random bits need no slower one.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import NamedTuple

from app.access import Role

MOST_ID = 2**63 - 1
_ALPHABET = string.digits + string.ascii_letters
SECRET_LENGTH = 43  # 62**43 > 2**256
CHECK_LENGTH = 6  # 62**6 > 2**32
_FORM = re.compile(
    rf"fq_({'|'.join(Role)})_([1-9][0-9]{{0,18}})_[0-9A-Za-z]{{{SECRET_LENGTH}}}"
    rf"([0-9A-Za-z]{{{CHECK_LENGTH}}})"
)


class Parsed(NamedTuple):
    token_id: int
    digest: bytes


def mint(role: Role, token_id: int) -> str:
    """A new token."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_LENGTH))
    body = f"fq_{role}_{token_id}_{secret}"
    return body + _checksum(body)


def parse(token: str) -> Parsed | None:
    """Its id and digest; None for what cannot be a token."""
    form = _FORM.fullmatch(token)
    if form is None or _checksum(token[:-CHECK_LENGTH]) != form[3]:
        return None
    token_id = int(form[2])
    return None if token_id > MOST_ID else Parsed(token_id, digest(token))


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def same(one: bytes, other: bytes) -> bool:
    """Whether two digests are equal, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one, other)


def _checksum(body: str) -> str:
    rest = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECK_LENGTH):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)
