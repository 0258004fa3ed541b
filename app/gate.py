"""The gate before all else: which host, which token, which headers.

Pure ASGI, since every call of every agent comes through it. Who has no valid token is refused
here, before anything of the body is read.
"""

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors, problems
from app.caller import SCOPE, Caller, token_ended
from app.db.engine import CONFIRM
from app.errors import TooMany, Unauthorized
from app.settings import Settings
from app.tokens import secret
from app.tokens.known import Known
from app.tokens.secret import Parsed
from app.tokens.throttle import Throttle, site

# No token needed: these, and what hangs below `/static/`.
OPEN = frozenset({"/healthz", "/readyz", "/docs", "/redoc", "/openapi.json"})
OPEN_BELOW = "/static/"

# The page asks for a session of its own (app/page/route.py): its root, and what is below.
PAGE = "/"
PAGE_BELOW = "/page/"

# The docs pages and their files have their own policies; what the page sends has, if it does.
PAGES = frozenset({"/docs", "/redoc"})
NOSNIFF = (b"x-content-type-options", b"nosniff")
OF_PAGES = (
    NOSNIFF,
    (b"referrer-policy", b"no-referrer"),
)
OF_ANSWERS = (
    *OF_PAGES,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class WrongHost(errors.AppError):
    """The Host header names none of the hosts that this service is known by."""

    status, code, title = 400, "wrong_host", "Wrong host"


class Gate:
    def __init__(self, inner: ASGIApp, settings: Settings, known: Known) -> None:
        self._inner = inner
        self._hosts = settings.hosts
        self._known = known
        self._throttle = Throttle(settings.failed_tokens_per_minute)
        self._one_of: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there is none, and none gets past the gate
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        try:
            self._check_host(scope)
            if not is_open(scope):
                caller = await self._authenticate(scope)
                scope[SCOPE] = caller
                scope[CONFIRM] = lambda connection: self._known.confirm(connection, caller)
        except Exception as refused:  # noqa: BLE001  # whatever it is, it has its answer
            response = await problems.answer(Request(scope), refused)
            await response(scope, receive, dressed(scope, send))
            return
        await self._inner(scope, receive, send)

    def _check_host(self, scope: Scope) -> None:
        if self._hosts is None:
            return
        host = _header(scope, b"host").decode("latin-1").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in self._hosts:
            raise WrongHost(
                "the service is not known by this host name: see FARMQUEUE_ALLOWED_HOSTS"
            )

    async def _authenticate(self, scope: Scope) -> Caller:
        return await self.identify(lambda: _bearer(_header(scope, b"authorization")), scope)

    async def identify(self, token: Callable[[], str], scope: Scope) -> Caller:
        """Whose token it is; a wrong one counts against the address that it came from."""
        try:
            return await self._caller(token(), scope)
        except Unauthorized:
            self.count_wrong(scope)
            raise

    def count_wrong(
        self, scope: Scope, of: str = "wrong tokens", instead: str = "try again"
    ) -> None:
        """Count a wrong token, or session, against its address; refuse it if it is one too many."""
        if seconds := self._throttle.failed(address_of(scope)):
            told = f"too many {of} from this address: {instead} in {seconds} s"
            raise TooMany(told, seconds=seconds) from None

    def is_over(self, scope: Scope) -> bool:
        """Whether so many wrong ones came from there that one more is refused."""
        return self._throttle.is_over(address_of(scope))

    def knows(self, scope: Scope) -> Caller | None:
        """Whose call it is, where nothing has to be asked or refused to tell."""
        try:
            self._check_host(scope)
            return self._known_by(_bearer(_header(scope, b"authorization")))
        except errors.AppError:
            return None

    def _known_by(self, token: str) -> Caller | None:
        digest = secret.digest(token)
        return self._known.find(digest) or self._known.admin_of(digest)

    async def _caller(self, token: str, scope: Scope) -> Caller:
        found = self._known_by(token)
        if found is None and (parsed := secret.parse(token)) is not None:
            found = await self._look_up(parsed, scope)
        if found is None:
            raise token_ended()
        return found

    async def _look_up(self, parsed: Parsed, scope: Scope) -> Caller | None:
        """Of an address that sent too many wrong tokens one at a time: the pool is for others."""
        engine = scope["app"].state.engine
        if not self.is_over(scope):
            return await self._known.look_up(engine, parsed)
        async with self._one_of.setdefault(address_of(scope), asyncio.Lock()):
            return self._known.find(parsed.digest) or await self._known.look_up(engine, parsed)


def address_of(scope: Scope) -> str:
    """Where it came from: of IPv6 the network, any address of which one host may take."""
    return site(scope["client"][0]) if scope.get("client") else ""


def is_open(scope: Scope) -> bool:
    """Whether this needs no token in a header."""
    path = _path(scope)
    return path in OPEN or path.startswith(OPEN_BELOW) or is_of_the_page(path)


def is_of_the_page(path: str) -> bool:
    return path == PAGE or path.startswith(PAGE_BELOW)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _headers_for(scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
    path = _path(scope)
    return OF_PAGES if path in PAGES or path.startswith(OPEN_BELOW) else OF_ANSWERS


def _header(scope: Scope, name: bytes) -> bytes:
    for found, value in scope["headers"]:
        if found == name:
            return bytes(value)
    return b""


def _bearer(value: bytes) -> str:
    scheme, _, token = value.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or not token.isascii():
        raise Unauthorized(
            "send `Authorization: Bearer <token>`; an admin makes tokens: POST /tokens"
        )
    return token.decode("ascii")


def dressed(scope: Scope, send: Send) -> Send:
    """Send answers with the headers that keep browsers from doing more than showing them."""
    if scope["type"] != "http":
        return send
    headers = _headers_for(scope)

    async def send_dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [*message.get("headers", ())]
            named = {name for name, _ in own}
            message["headers"] = own + [one for one in headers if one[0] not in named]
        await send(message)

    return send_dressed
