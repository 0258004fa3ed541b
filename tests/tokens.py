"""Tokens for tests: the admin's, which the default client carries, and those of all other roles."""

from typing import Any

import httpx

from app.access import Role
from app.caller import Caller
from app.tokens.known import Known

ADMIN_TOKEN = "an-admin-token-for-tests-and-nothing-else"
AUTH = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
ASGI_AUTH = (b"authorization", AUTH["Authorization"].encode())

ADMIN = Caller(Role.ADMIN, "admin")
NO_TOKENS = Known(None)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def made(client: httpx.AsyncClient, role: str, name: str = "", **fields: Any) -> str:
    """A new token of that role."""
    body = {"role": role, "name": name or role, **fields}
    answer = await client.post("/tokens", json=body, headers=AUTH)
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token
