"""Wrong tokens are counted by client, whom a proxy names that the service was told of."""

from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.processes import service

PROXY, STRANGER = "127.0.0.9", "127.0.0.8"


def answer(url: str, comes_from: str, says: str) -> int:
    """To a wrong token, sent from this address by somebody who says to be another."""
    connection = HTTPConnection(urlsplit(url).netloc, source_address=(comes_from, 0), timeout=30)
    headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": says}
    try:
        connection.request("GET", "/jobs", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_known_proxy_is_believed_and_nobody_else(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", PROXY)
    with service(database, tmp_path / "log", failed_tokens_per_minute=2) as url:
        by_proxy = [answer(url, PROXY, "198.51.100.7") for _ in range(3)]
        assert by_proxy == [401, 401, 429]
        assert answer(url, PROXY, "198.51.100.8") == 401
        # What a client put before is not the proxy's word.
        assert answer(url, PROXY, "203.0.113.1, 198.51.100.7") == 429
        lies = [answer(url, STRANGER, f"198.51.100.{n}") for n in range(20, 23)]
        assert lies == [401, 401, 429]
