"""The routes of an app, those of its routers among them, which the app itself keeps as they are."""

from collections.abc import Iterable, Iterator

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute


def every_route(app: FastAPI) -> Iterator[APIRoute]:
    yield from _below(app.routes)


def _below(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (router := getattr(route, "original_router", None)) is not None:
            yield from _below(router.routes)
