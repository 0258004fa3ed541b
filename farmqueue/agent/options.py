"""What an operator can say to an agent process."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Settings of one agent process; cpus and ram (MB) are those of the host, shared by its slots.

    None: found by itself. Times in seconds.
    """

    state_dir: Path
    slots: int = 1
    tags: tuple[str, ...] = ()
    cpus: int | None = None
    ram: int | None = None
    hostname: str | None = None
    wait: float = 30.0  # how long the service may hold a poll open
    grace: float = 5.0  # between SIGTERM and SIGKILL
    pause: float = 1.0  # at least this long between two polls that found nothing
    renew_pause: float = 60.0  # between two tries to get a new token
    farewell: float = 5.0  # how long a stopping agent tries to give its work back
