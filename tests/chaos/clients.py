"""Every HTTP client of the suite is made here: what each call must carry is said once."""

from typing import Any

import httpx

from tests.processes import TLS
from tests.tokens import AUTH

HEADERS = AUTH

# Longer than anything that the service may be waiting for when a fault is on.
PATIENCE_SECONDS = 90


def client(url: str, *, timeout: float = PATIENCE_SECONDS, **options: Any) -> httpx.AsyncClient:
    """A client of one service; with no cap, since each agent may hold a poll open."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    return httpx.AsyncClient(
        base_url=url, headers=HEADERS, timeout=timeout, limits=limits, verify=TLS, **options
    )
