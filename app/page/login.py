"""Logging in, with a token in a form, and out."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.errors import AppError, TooMany
from app.page.forms import Sent, one
from app.page.render import page
from app.page.route import OpenRoute, PageRoute, the_sessions

router = APIRouter(route_class=OpenRoute, prefix="/page", include_in_schema=False)
inside = APIRouter(route_class=PageRoute, prefix="/page", include_in_schema=False)

Next = Annotated[str, Query()]


@router.get("/login")
async def show(request: Request, next: Next = "/") -> Response:  # noqa: A002  # as in its address
    """The form; who is logged in goes on. Whatever their cookie is, they may log in."""
    with suppress(TooMany):
        if await the_sessions(request).of(request) is not None:
            return _go(request, next)
    return page(request, None, "login.html", next=next, problem=None)


@router.post("/login")
async def log_in(request: Request, form: Sent) -> Response:
    where = one(form, "next") or "/"
    response = _go(request, where)
    try:
        await the_sessions(request).begin(request, one(form, "token"), response)
    except AppError as refused:
        shown = page(request, None, "login.html", next=where, problem=refused.detail)
        shown.status_code = refused.status
        shown.headers.update(refused.headers)
        return shown
    return response


@inside.post("/logout")
async def log_out(request: Request) -> Response:
    response = Response(status_code=204)
    await the_sessions(request).end(request, response)
    response.headers["HX-Redirect"] = _root(request) + "/page/login"
    return response


def _go(request: Request, where: str) -> Response:
    """On to a page of this service, and to none of another host."""
    ours = where.startswith("/") and not where.startswith(("//", "/\\"))
    plain = where.isascii() and where.isprintable()
    target = where if ours and plain else "/"
    return RedirectResponse(_root(request) + target, status_code=303)


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")
