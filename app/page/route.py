"""The routes of the page: who is logged in, what may have been sent by another site, and errors.

Errors are told as the API tells them, problem+json, to the scripts of the page, which show them
where they belong; whoever opens a page with the address bar gets a page that says it.
"""

import json
from collections.abc import Callable, Coroutine
from hmac import compare_digest
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from app import problems
from app.caller import SCOPE, GuardedRoute
from app.db.engine import CONFIRM
from app.errors import Forbidden, Unauthorized
from app.page.render import page
from app.page.sessions import Session, Sessions
from app.tokens.known import Known

SESSION = "farmqueue.session"
CSRF_HEADER = "x-csrf-token"
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    # A form that is sent names its origin to this host, which looks at it, and to no other.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class OtherSite(Forbidden):
    """What would change something did not come from a page of this service."""

    code = "other_site"


class NotLoggedIn(Unauthorized):
    """There is no session, or it is over."""

    code = "not_logged_in"


class OpenRoute(GuardedRoute):
    """For who is not logged in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                if request.method in CHANGING:
                    must_be_from_here(request)
                await self.admit(request)
                response = await handle(request)
            except Unauthorized as refused:  # not logged in, or the token ended in the middle
                raise problems.Answered(_dressed(await _to_login(request, refused))) from refused
            except Exception as failed:  # whatever it is, it has its answer
                raise problems.Answered(_dressed(await _told(request, failed))) from failed
            return _dressed(response)

        return handled

    async def admit(self, request: Request) -> None:
        """Let the request through, or refuse it."""


class PageRoute(OpenRoute):
    """For who is logged in: the same rights as with the token that they logged in with."""

    async def admit(self, request: Request) -> None:
        session = await the_sessions(request).of(request)
        if session is None:
            raise NotLoggedIn("log in: you are not, or your token has ended")
        known: Known = request.app.state.known
        request.scope[SESSION] = session
        request.scope[SCOPE] = session.caller
        request.scope[CONFIRM] = lambda connection: known.confirm(connection, session.caller)
        if request.method in CHANGING:
            told = request.headers.get(CSRF_HEADER, "")
            if not compare_digest(told.encode(), session.csrf.encode()):
                raise OtherSite("load the page anew: what was sent does not belong to this session")


def must_be_from_here(request: Request) -> None:
    """Browsers say where a request comes from; none that changes anything goes without it."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is None and origin is None:
        raise OtherSite("this browser does not say where it asks from: use one of these days")
    if site not in {None, "same-origin"}:
        raise OtherSite("this was sent by another site")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise OtherSite(
            "this was sent by another site; behind a proxy: it has to hand on the Host header"
        )


def the_sessions(request: Request) -> Sessions:
    found: Sessions = request.app.state.sessions
    return found


async def _session(request: Request) -> Session:
    found: Session = request.scope[SESSION]
    return found


LoggedIn = Annotated[Session, Depends(_session)]


def is_of_script(request: Request) -> bool:
    """Whether the page's scripts ask, rather than the address bar."""
    return "hx-request" in request.headers or "json" in request.headers.get("accept", "")


def _dressed(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


async def _to_login(request: Request, refused: Unauthorized) -> Response:
    root: str = request.scope.get("root_path", "").rstrip("/")
    where = f"{root}/page/login"
    if request.method == "GET" and not is_of_script(request):
        query = f"?{request.url.query}" if request.url.query else ""
        path = request.url.path.removeprefix(root) + query
        return RedirectResponse(f"{where}?next={quote(path)}", status_code=303)
    response = await problems.answer(request, refused)
    response.headers["HX-Redirect"] = where
    return response


async def _told(request: Request, failed: Exception) -> Response:
    response = await problems.answer(request, failed)
    if request.method != "GET" or is_of_script(request):
        return response
    problem = json.loads(bytes(response.body))
    session: Session | None = request.scope.get(SESSION)
    shown = page(request, session, "problem.html", problem=problem)
    shown.status_code = response.status_code
    return shown
