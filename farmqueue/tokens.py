"""Tokens as the service shows them."""

from typing import TypedDict


class TokenFields(TypedDict, total=False):
    """What can be said of a token beside its role and name."""

    expires_at: str
    job_queue_id: int
    uses: int


class Token(TypedDict):
    id: int
    role: str
    name: str
    valid: bool
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    job_queue_id: int | None
    agent_id: str | None
    uses_left: int | None


class NewToken(Token):
    """With the token itself, which is shown this once."""

    token: str
