"""The pages for people, /docs and /redoc, from files that the service carries itself."""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"

# The browser itself refuses any other host: ReDoc would fetch its maker's logo.
CONTENT_SECURITY_POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline'",  # Swagger UI is started by an inline script
    "style-src": "'self' 'unsafe-inline'",  # both write style elements
    "img-src": "'self' data:",
    "worker-src": "'self' blob:",  # ReDoc's search
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "; ".join(map(" ".join, CONTENT_SECURITY_POLICY.items())),
}


def mount(app: FastAPI) -> None:
    """Serve /docs, /redoc and /static, under whatever root path the server was given.

    `app` must have been made with `docs_url=None, redoc_url=None`: FastAPI's own pages use a CDN.
    """
    if app.docs_url or app.redoc_url:
        raise ValueError("make the app with docs_url=None and redoc_url=None")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_api_route("/docs", swagger_ui, include_in_schema=False, response_model=None)
    app.add_api_route("/redoc", redoc, include_in_schema=False, response_model=None)


async def swagger_ui(request: Request) -> HTMLResponse:
    """The API to try out in the browser."""
    page = get_swagger_ui_html(
        openapi_url=_url(request, request.app.openapi_url),
        title=f"{request.app.title}: API",
        swagger_js_url=_url(request, "/static/swagger-ui/swagger-ui-bundle.js"),
        swagger_css_url=_url(request, "/static/swagger-ui/swagger-ui.css"),
        swagger_favicon_url=_favicon(request),
        swagger_ui_parameters={"validatorUrl": None, "displayRequestDuration": True},
    )
    page.headers.update(HEADERS)
    return page


async def redoc(request: Request) -> HTMLResponse:
    """The API to read."""
    page = get_redoc_html(
        openapi_url=_url(request, request.app.openapi_url),
        title=f"{request.app.title}: API reference",
        redoc_js_url=_url(request, "/static/redoc/redoc.standalone.js"),
        redoc_favicon_url=_favicon(request),
        with_google_fonts=False,
    )
    page.headers.update(HEADERS)
    return page


def _favicon(request: Request) -> str:
    return _url(request, "/static/swagger-ui/favicon-32x32.png")


def _url(request: Request, path: str) -> str:
    """Path as the browser has to ask for it: a proxy in front strips the root path."""
    root_path: str = request.scope.get("root_path", "")
    return root_path.rstrip("/") + path
