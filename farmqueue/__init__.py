"""What agent hosts and artists install: the client, the agent and the command line of farmqueue."""

from importlib.metadata import version

from farmqueue.client import AsyncClient, Client
from farmqueue.errors import Conflict, FarmqueueError, Forbidden, Invalid, NotFound, Unavailable

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "FarmqueueError",
    "Forbidden",
    "Invalid",
    "NotFound",
    "Unavailable",
    "__version__",
]

__version__ = version("farmqueue")
