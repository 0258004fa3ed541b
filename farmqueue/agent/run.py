"""An agent process: its slots, and the signals that end it."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from farmqueue.agent import attempts, identity, orphans
from farmqueue.agent.host import this_host
from farmqueue.agent.life import live
from farmqueue.agent.log import say
from farmqueue.agent.options import Options
from farmqueue.agent.patience import log_retries
from farmqueue.agent.slot import Slot
from farmqueue.client import AsyncClient
from farmqueue.errors import FarmqueueError

_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


async def run(options: Options, client: AsyncClient) -> bool:
    """Run the agents of this process until a signal; True when all could say goodbye in peace.

    Raises FarmqueueError when the service refuses an agent, StateDirInUse when another process has
    its state directory. The client is closed.
    """
    log_retries()
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(identity.claimed(options.state_dir))
        except OSError as error:
            say("state directory cannot be used", level=logging.WARNING, error=error)
        await orphans.end_beyond(options.state_dir, options.slots, options.grace)
        attempts.end_beyond(options.state_dir, options.slots)
        async with client:
            return await _live_all(slots(options, client))


def slots(options: Options, client: AsyncClient) -> list[Slot]:
    """The agents of this process, each with the id that it had before."""
    host = this_host(options)
    return [
        Slot(
            number=number,
            agent_id=identity.known_id(options.state_dir, number),
            client=_own(client, options, number),
            given=client,
            host=host,
            options=options,
            say=partial(say, slot=number),
        )
        for number in range(options.slots)
    ]


def _own(client: AsyncClient, options: Options, number: int) -> AsyncClient:
    """The client with the token that the slot had before."""
    token = identity.known_token(options.state_dir, number)
    return client.speaking_with(token) if token else client


async def _live_all(agents: Sequence[Slot]) -> bool:
    refusal: FarmqueueError | None = None
    received: list[int] = []
    lives: list[asyncio.Task[None]] = []
    # Heard until the last agent has ended, also where another one's end was what ended it.
    with _signals(partial(_stop, lives, received)):
        try:
            async with asyncio.TaskGroup() as group:
                lives += [group.create_task(live(slot)) for slot in agents]
        except* FarmqueueError as refusals:
            refusal = _first(refusals)
    if refusal:
        raise refusal
    return len(received) <= 1


def _stop(lives: Sequence[asyncio.Task[None]], received: list[int], number: int) -> None:
    """A first signal lets the agents say goodbye; the next one interrupts that."""
    received.append(number)
    how = "stopping, once more to stop at once" if len(received) == 1 else "stopping at once"
    say(how, signal=signal.Signals(number).name)
    for life in lives:
        life.cancel()


@contextlib.contextmanager
def _signals(stop: Callable[[int], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def received(number: int, _frame: Any) -> None:
        loop.call_soon_threadsafe(stop, number)

    numbers = [getattr(signal, name) for name in _STOPPING if hasattr(signal, name)]
    # nohup has SIGHUP ignored, and that must stay so.
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, received) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first(refusals: ExceptionGroup[FarmqueueError]) -> FarmqueueError:
    found = refusals.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found
