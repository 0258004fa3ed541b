"""What the page's scripts are told when something was done."""

import asyncio
import gzip
import json

from fastapi import Request, Response

# It goes in a header, six bytes for a letter that is not ASCII; proxies take 4 kB of all headers.
LONGEST = 300

LONG = 20_000  # bytes that are worth to be compressed


def changed(topic: str, told: str, *, gone: bool = False) -> Response:
    """It is done: `told` is for who did it; what shows the topic is to be loaded anew.

    `gone`: what the panel showed is not there any more.
    """
    shown = told if len(told) <= LONGEST else told[: LONGEST - 1] + "…"
    event = {"done": {"topic": topic, "told": shown, "gone": gone}}
    return Response(status_code=204, headers={"HX-Trigger": json.dumps(event)})


async def as_json(request: Request, sent: str) -> Response:
    """JSON, compressed beside the loop where it is long. Nothing in it may be secret (BREACH)."""
    body, headers = sent.encode(), {"Vary": "Accept-Encoding"}
    if len(body) > LONG and "gzip" in request.headers.get("accept-encoding", ""):
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)
