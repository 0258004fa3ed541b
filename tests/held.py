"""Polls that are held open."""

import asyncio

from fastapi import FastAPI


async def held_open(app: FastAPI, polls: int = 1) -> None:
    """Until so many polls wait at the desk."""
    while app.state.desk.waiting < polls:
        await asyncio.sleep(0.005)
