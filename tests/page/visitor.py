"""Somebody at a browser, without the browser: a cookie, a form, what a page hands back."""

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

HERE = {"Origin": "http://farm", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Visitor:
    """Every answer comes as it is; nobody follows redirects."""

    client: httpx.AsyncClient
    csrf: str = ""

    async def log_in(self, token: str, **fields: str) -> httpx.Response:
        form = {"token": token} | fields
        answer = await self.client.post("/page/login", data=form, headers=HERE)
        if answer.status_code == httpx.codes.SEE_OTHER:
            found = re.search(r'"X-CSRF-Token": "([0-9a-f]{64})"', await self.read("/"))
            assert found is not None
            self.csrf = found[1]
        return answer

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def read(self, path: str) -> str:
        answer = await self.get(path)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.text

    async def post(self, path: str, form: dict[str, Any] | None = None) -> httpx.Response:
        headers = HERE | {"X-CSRF-Token": self.csrf, "HX-Request": "true"}
        return await self.client.post(path, data=form or {}, headers=headers)

    async def must(self, path: str, form: dict[str, Any] | None = None) -> str:
        """What the visitor is told of something that was done."""
        answer = await self.post(path, form)
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
        told: str = json.loads(answer.headers["HX-Trigger"])["done"]["told"]
        return told


def visitor(
    app: FastAPI, base: str = "http://farm", root_path: str = "", address: str = "127.0.0.1"
) -> Visitor:
    transport = httpx.ASGITransport(
        app, raise_app_exceptions=False, root_path=root_path, client=(address, 123)
    )
    return Visitor(httpx.AsyncClient(transport=transport, base_url=base))
