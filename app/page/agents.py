"""The agents page: who is there, what each does, and what may be done to them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.access import Right
from app.agents import service
from app.agents.schemas import AgentChange
from app.caller import needs
from app.db.engine import Transaction
from app.errors import Invalid
from app.page import store
from app.page.answers import changed
from app.page.forms import Form, Sent, made, one
from app.page.live import the_board
from app.page.many import each
from app.page.render import html, page
from app.page.route import LoggedIn, PageRoute
from app.policy.states import AgentState

router = APIRouter(route_class=PageRoute, prefix="/page/agents", include_in_schema=False)

READS, CHANGES = [needs(Right.READ)], [needs(Right.CHANGE_AGENT)]
REMOVES = [needs(Right.REMOVE_AGENT)]

A_PAGE = 200
LATEST = 50
SHOWN = 15
MOST_SKIPPED = 10_000_000

Words = Annotated[str, Query(max_length=255)]


@router.get("", dependencies=READS)
async def show(
    request: Request,
    connection: Transaction,
    session: LoggedIn,
    state: str = "",
    host: Words = "",
    tag: Words = "",
    skip: Annotated[int, Query(ge=0, le=MOST_SKIPPED)] = 0,
) -> Response:
    mark = the_board(request).mark("agents")
    wanted = AgentState(state) if state in list(AgentState) else None
    found = await store.agent_ids(connection, wanted, host.strip(), tag.strip(), skip, A_PAGE + 1)
    agents = await service.get_all(connection, found[:A_PAGE])
    shown = {
        "agents": agents,
        "failures": await store.failures(connection, found[:A_PAGE], LATEST),
        "latest": LATEST,
        "counts": await store.agent_states(connection),
        "more": skip + A_PAGE if len(found) > A_PAGE else None,
        "skip": skip,
        "back": max(0, skip - A_PAGE) if skip else None,
        "state": wanted or "",
        "host": host,
        "tag": tag,
    }
    if "hx-request" in request.headers:
        return Response(html(request, session, "agent_rows.html", **shown), media_type="text/html")
    return page(request, session, "agents.html", mark=mark, states=list(AgentState), **shown)


@router.get("/{agent_id}", dependencies=READS)
async def panel(
    agent_id: UUID, request: Request, connection: Transaction, session: LoggedIn
) -> Response:
    shown = {
        "agent": await service.get(connection, agent_id),
        "work": await store.work_of(connection, agent_id, SHOWN, only_failed=False),
        "failures": await store.work_of(connection, agent_id, SHOWN, only_failed=True),
    }
    return Response(html(request, session, "agent.html", **shown), media_type="text/html")


@router.post("/state", dependencies=CHANGES)
async def change_many(request: Request, form: Sent, session: LoggedIn) -> Response:
    """Enable, drain or disable those that were chosen."""
    asked = made(AgentChange, {"state": one(form, "state")})

    async def work(connection: AsyncConnection, agent_id: UUID) -> object:
        return await service.change(connection, agent_id, asked, session.caller)

    told = f"{{number}} agent{{s}} {{are}} {_word(asked.state)}"
    return await each(request, _uuids(form), work, "agents", told)


@router.post("/{agent_id}/state", dependencies=CHANGES)
async def change(
    agent_id: UUID, form: Sent, connection: Transaction, session: LoggedIn
) -> Response:
    asked = made(AgentChange, {"state": one(form, "state")})
    agent = await service.change(connection, agent_id, asked, session.caller)
    return changed("agents", f"{agent.hostname} is {_word(asked.state)}")


@router.post("/{agent_id}/delete", dependencies=REMOVES)
async def remove(agent_id: UUID, connection: Transaction, session: LoggedIn) -> Response:
    await service.remove(connection, agent_id, session.caller)
    return changed("agents", "the agent is forgotten", gone=True)


def _word(state: AgentState) -> str:
    return "enabled" if state is AgentState.ONLINE else str(state)


def _uuids(form: Form) -> list[UUID]:
    try:
        found = [UUID(text) for text in form.get("id", [])]
    except ValueError:
        raise Invalid("this is no id of an agent: load the page anew", field="id") from None
    if not found:
        raise Invalid("choose at least one", field="id")
    return found
