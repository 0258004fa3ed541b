"""The settings that the service was started with, for routes."""

from typing import Annotated

from fastapi import Depends, Request

from app.settings import Settings


async def configured(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Configured = Annotated[Settings, Depends(configured)]
