"""The routes of an app, those of its routers among them, which the app itself keeps as they are."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from app.main import create_app
from app.settings import Settings


def document() -> dict[str, Any]:
    """The OpenAPI document, made once a run: it takes most of a second."""
    found: dict[str, Any] = json.loads(_written())
    return found


@cache
def _written() -> str:
    return json.dumps(create_app(Settings(), "postgresql+asyncpg://").openapi())


def every_route(app: FastAPI) -> Iterator[APIRoute]:
    yield from _below(app.routes)


def _below(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (router := getattr(route, "original_router", None)) is not None:
            yield from _below(router.routes)
