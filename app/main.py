"""The service put together: routers, lifespan, error handling. Nothing else."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app import docs_pages, first_token, health, logs, metrics, openapi, problems
from app.again import again
from app.agents.pulse import Pulse
from app.agents.router import router as agents
from app.audit.watch import watch_for_ever
from app.body_limit import BodyLimit
from app.db import schema
from app.db.embedded import database_url
from app.db.engine import create_engine
from app.db.migrations import upgrade_at
from app.explain.router import router as explain
from app.figures.keeping import keep_for_ever as keep_figures
from app.figures.router import router as figures
from app.gate import Gate, dressed
from app.history.keeping import keep_for_ever
from app.history.router import router as history
from app.jobqueues.router import router as jobqueues
from app.jobs.router import router as jobs
from app.page.board import Board
from app.page.mounting import mount_page
from app.page.sessions import Sessions
from app.plan.entitlements import Entitlements
from app.plan.router import router as plans
from app.plan.workshop import Workshop
from app.request_id import traced
from app.scheduler.desk import Desk
from app.scheduler.figures import QueueFigures
from app.scheduler.garbage import look_seldom
from app.scheduler.listener import listen
from app.scheduler.reaper import reap_for_ever
from app.scheduler.router import router as work
from app.settings import Settings
from app.short_way import ShortWay
from app.simulation.estimates import Estimates
from app.simulation.router import router as simulation
from app.simulation.service import Simulations
from app.slow_senders import protocol
from app.tokens.keeping import note_for_ever
from app.tokens.known import Known
from app.tokens.router import router as tokens
from app.turns import Turns

GRACE_SECONDS = 8

# A connection on which nothing is asked is ended by who asks, never at the moment of the next call:
# the client's own are kept for 5 s, those of proxies for 60 s.
IDLE_SECONDS = 75


class Service(FastAPI):
    """The framework's app; around it the gate, and around that the short way of agents' calls."""

    gate: Gate
    way: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self.way(scope, receive, send)

    async def behind_the_gate(self, scope: Scope, receive: Receive, send: Send) -> None:
        await again(super().__call__, scope, receive, dressed(scope, send))


def create_app(settings: Settings, url: str) -> FastAPI:
    """The ASGI app over the database at `url` (postgresql+asyncpg://…)."""
    app = Service(
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        **openapi.ABOUT,
    )
    app.state.settings = settings
    app.state.url = url
    admin = settings.admin_token
    app.state.known = Known(None if admin is None else admin.get_secret_value())
    app.state.turns = Turns()
    app.gate = Gate(app.behind_the_gate, settings, app.state.known)
    app.way = ShortWay(partial(traced, app.gate), app.gate, app.state, settings.max_body_bytes)
    app.state.sessions = Sessions(settings, app.state.known, app.gate)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    problems.install(app)
    rooms = (plans, jobqueues, jobs, agents, work, simulation, explain, history, figures, tokens)
    for router in (*rooms, health.router):
        app.include_router(router)
    mount_page(app)
    docs_pages.mount(app)
    openapi.install(app)
    return app


@asynccontextmanager
async def lifespan(app: Service) -> AsyncIterator[None]:
    """The engine, the desk, and what runs beside the requests."""
    state = app.state
    state.engine = create_engine(state.settings, state.url)
    state.desk = Desk(state.engine, state.settings, state.known, state.turns)
    state.pulse = Pulse(state.engine, state.settings, state.turns)
    state.simulations = Simulations(state.settings, state.url)
    state.estimates = Estimates(state.settings, state.url)
    state.figures = QueueFigures(state.desk)
    state.workshop = Workshop(state.url, state.settings.simulate_memory_mb)
    state.entitlements = Entitlements(state.desk, state.workshop)
    state.board = Board(state.desk, state.figures, state.entitlements)
    metrics.built(schema.HEAD)
    state.background = [
        asyncio.create_task(state.desk.run(), name="desk"),
        asyncio.create_task(listen(state.url, state.desk), name="listener"),
        asyncio.create_task(reap_for_ever(state.engine, state.settings), name="reaper"),
        asyncio.create_task(keep_for_ever(state.url, state.settings), name="keeper"),
        asyncio.create_task(state.figures.watch_for_ever(), name="figures"),
        asyncio.create_task(state.board.run(), name="board"),
        asyncio.create_task(state.sessions.watch_for_ever(state.engine), name="sessions"),
        asyncio.create_task(
            keep_figures(state.engine, state.desk, state.entitlements), name="figures kept"
        ),
        asyncio.create_task(
            note_for_ever(state.engine, state.known, warn=state.settings.admin_token is None),
            name="notes",
        ),
    ]
    if state.settings.audit_seconds:
        watching = watch_for_ever(state.engine, state.settings)
        state.background.append(asyncio.create_task(watching, name="audit"))
    yield
    state.simulations.close()
    await state.estimates.close()
    for task in state.background:
        task.cancel()
    await asyncio.gather(*state.background, return_exceptions=True)
    await state.entitlements.close()
    await state.workshop.close()
    await state.engine.dispose()


class Server(uvicorn.Server):
    """A server that lets go who waits for work or watches, then waits for connections to end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.started:
            self.app.state.board.close()
            self.app.state.desk.close()
            self.app.state.simulations.close()
            self.app.state.estimates.stop()
        await super().shutdown(sockets)


def serve() -> None:
    """Run the service as the environment says, until SIGTERM or SIGINT."""
    settings = Settings.from_environment()
    logs.configure(settings.log_format, settings.log_level)
    settings = first_token.ensured(settings)
    look_seldom()
    # The server raises the signal again once it has shut down; the database is to be left first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), database_url(settings) as url:
        if settings.database_url is None:
            asyncio.run(upgrade_at(settings, url))
        app = create_app(settings, url)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            root_path=settings.root_path,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=IDLE_SECONDS,
            server_header=False,
            http=protocol(settings.body_seconds),
            ws="none",
        )
        Server(config, app).run()
