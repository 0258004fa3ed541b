"""A client that costs little beside the service that it measures: one keep-alive connection."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, url: str) -> Self:
        at = urlsplit(url)
        return cls(*await asyncio.open_connection(at.hostname, at.port))

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        """The status and the JSON of the answer, None where it has none."""
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: farm\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        self.writer.write(head.encode() + content)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        _, found, rest = answer.partition(b"content-length:")
        length = int(rest.split(b"\r\n", 1)[0]) if found else 0
        told = await self.reader.readexactly(length)
        return int(answer.split(b" ", 2)[1]), json.loads(told) if told else None

    def close(self) -> None:
        self.writer.close()
