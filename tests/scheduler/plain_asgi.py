"""Calls of the app without a server. A body that comes in parts goes the framework's way."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.types import Message

from tests.tokens import ASGI_AUTH

JSON_TYPE = ((b"content-type", b"application/json"),)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> tuple[int, dict[str, str], Any]:
        """All of it but the time until which a lease runs, of which only the form counts."""
        told = json.loads(self.body) if self.body else None
        if isinstance(told, dict) and "lease_expires_at" in told:
            told["lease_expires_at"] = told["lease_expires_at"][-1]
        kept = {n: v for n, v in self.headers.items() if n in {"content-type", "retry-after"}}
        return self.status, kept, told


async def call(
    app: FastAPI,
    body: bytes,
    *,
    whole: bool,
    method: str = "POST",
    path: str = "/assign",
    headers: tuple[tuple[bytes, bytes], ...] = JSON_TYPE,
    root_path: str = "",
    token: tuple[bytes, bytes] | None = ASGI_AUTH,
) -> Answer:
    parts = [body] if whole else [body[:1], body[1:]]
    pending: list[Message] = [
        {"type": "http.request", "body": part, "more_body": place < len(parts) - 1}
        for place, part in enumerate(parts)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        if not pending:
            await asyncio.Event().wait()
        return pending.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    sent_headers = [(b"host", b"farm"), *([token] if token else []), *headers]
    scope = {
        "type": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "scheme": "http",
        "server": ("farm", 80), "client": ("agent", 1), "query_string": b"", "method": method,
        "path": root_path + path, "raw_path": (root_path + path).encode(),
        "root_path": root_path, "headers": sent_headers,
    }  # fmt: skip
    await app(scope, receive, send)
    start = sent[0]
    named = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], named, b"".join(one.get("body", b"") for one in sent[1:]))
