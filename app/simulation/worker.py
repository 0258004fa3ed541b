"""The process of one simulation: a request comes in, an answer goes out, and it ends.

It is told on its standard input: a line of JSON with the `question` and the database's `url`, then
the body of a request as it came; `estimates` has none. It answers a line of JSON that says what the
rest is: nothing for a success, of which the rest is the body; `errors`, each a place and why; or
`too_large`, why.
"""

import gc
import json
import os
import signal
import sys

from app.simulation.confined import confine

# The memory that a body takes once it is read, in times of its own length.
READ_TIMES = 8


def main() -> None:
    """`seconds memory_mb` are the limits that it sets itself."""
    seconds, memory_mb = float(sys.argv[1]), int(sys.argv[2])
    confine(seconds, memory_mb)
    too_large = _line({"too_large": f"it needs more than the {memory_mb} MB that it may have"})
    try:
        said, body = _answered(seconds, memory_mb)
    except MemoryError:
        said, body = too_large, b""
    with os.fdopen(os.dup(1), "wb") as out:
        out.write(said + body)
    signal.alarm(0)


def _answered(seconds: float, memory_mb: int) -> tuple[bytes, bytes]:
    # Imported under the limits, which are to hold for all of it.
    from pydantic import ValidationError  # noqa: PLC0415

    from app.simulation.beside import side_by_side  # noqa: PLC0415
    from app.simulation.edits import Wrong  # noqa: PLC0415
    from app.simulation.schemas import SimulationRequest  # noqa: PLC0415
    from app.simulation.simulate import TooLong, simulate  # noqa: PLC0415

    told = json.loads(sys.stdin.buffer.readline())
    body = sys.stdin.buffer.read()
    if len(body) * READ_TIMES > memory_mb * 1_000_000:
        raise MemoryError  # the validator, which is no Python, would stand still instead
    gc.disable()  # it ends before there is much to collect
    if told.get("question") == "estimates":
        from app.simulation.forecast import forecast  # noqa: PLC0415

        return _line({}), forecast(told["url"], seconds)
    try:
        asked = SimulationRequest.model_validate_json(body)
        found = simulate(asked, told["url"], seconds, side_by_side)
    except ValidationError as wrong:
        listed = wrong.errors(include_url=False, include_context=False, include_input=False)
        return _line({"errors": [(one["loc"], one["msg"]) for one in listed]}), b""
    except Wrong as wrong:
        return _line({"errors": wrong.errors}), b""
    except TooLong as wrong:
        return _line({"too_large": str(wrong)}), b""
    return _line({}), json.dumps(found, separators=(",", ":")).encode()


def _line(said: object) -> bytes:
    return json.dumps(said).encode() + b"\n"


if __name__ == "__main__":
    main()
