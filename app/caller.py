"""Who asks, for the history."""

from typing import Annotated

from fastapi import Depends


async def caller() -> str:
    """The name under which a request's changes are recorded."""
    return "api"


Caller = Annotated[str, Depends(caller)]
