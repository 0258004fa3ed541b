"""What the page's scripts are told when something was done."""

import json

from fastapi import Response


def changed(topic: str, told: str, *, gone: bool = False) -> Response:
    """It is done: `told` is for who did it; what shows the topic is to be loaded anew.

    `gone`: what the panel showed is not there any more.
    """
    event = {"done": {"topic": topic, "told": told, "gone": gone}}
    return Response(status_code=204, headers={"HX-Trigger": json.dumps(event)})
