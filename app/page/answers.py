"""What the page's scripts are told when something was done."""

import json

from fastapi import Response

# It goes in a header, six bytes for a letter that is not ASCII; proxies take 4 kB of all headers.
LONGEST = 300


def changed(topic: str, told: str, *, gone: bool = False) -> Response:
    """It is done: `told` is for who did it; what shows the topic is to be loaded anew.

    `gone`: what the panel showed is not there any more.
    """
    shown = told if len(told) <= LONGEST else told[: LONGEST - 1] + "…"
    event = {"done": {"topic": topic, "told": shown, "gone": gone}}
    return Response(status_code=204, headers={"HX-Trigger": json.dumps(event)})
