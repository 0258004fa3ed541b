"""One of the agents of a process: who it is, where it runs, what it holds."""

from dataclasses import dataclass

from farmqueue.agent.held import Held
from farmqueue.agent.host import Host
from farmqueue.agent.log import Say
from farmqueue.agent.options import Options
from farmqueue.client import AsyncClient


@dataclass
class Slot:
    """The state of one agent; `held` is its work until the service has all results of it."""

    number: int
    agent_id: str
    client: AsyncClient  # with its own token, once it has one
    given: AsyncClient  # with the token that the process was given
    host: Host
    options: Options
    say: Say
    registered: bool = False
    disabled: bool = False
    held: Held | None = None
    renew_at: float | None = None  # when it is time for a new token, by the loop's clock
