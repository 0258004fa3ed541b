"""What is no page of this service: said by a page, as everything else is."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.errors import NotFound
from app.page.route import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/page", include_in_schema=False)


@router.get("/{rest:path}")
async def nowhere(rest: str, request: Request) -> Response:
    """To be mounted last. With a slash too many it may have been another page."""
    if rest.endswith("/"):
        root: str = request.scope.get("root_path", "").rstrip("/")
        where = request.url.replace(path=f"{root}/page/{rest.rstrip('/')}")
        return RedirectResponse(f"{where.path}?{where.query}".rstrip("?"), status_code=307)
    raise NotFound("there is no such page: choose one at the top")
