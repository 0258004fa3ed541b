"""The page's routes and files, put into an app."""

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from app.page import agents, day, history, job, jobs, live, login, nowhere, preview, queues, why
from app.page.render import STATIC


def mount_page(app: FastAPI) -> None:
    """Serve the page at `/` and below `/page/`, its files below `/static/page/`."""
    app.mount("/static/page", StaticFiles(directory=STATIC), name="page-static")
    for rooms in (queues, preview, day, why, jobs, job, agents, history, live):
        app.include_router(rooms.router)
    for router in (login.router, login.inside, nowhere.router):
        app.include_router(router)
