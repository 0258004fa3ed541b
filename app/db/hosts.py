"""The hosts of a database that has several, of which one takes writes."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache

_PARTS = re.compile(r"(?P<before>[^/]+//(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*)(?P<after>.*)", re.DOTALL)


@dataclass(slots=True)
class Hosts:
    """A URL for each host; `first` is the one to begin with.

    `server` is when the server was started that was met last: that tells one from all others, also
    where a host is another one by now.
    """

    urls: list[str]
    first: int = 0
    server: datetime | None = None

    @staticmethod
    @cache
    def of(url: str) -> "Hosts":
        """One for all who ask for the same URL. Hosts in its query stay together."""
        found = _PARTS.fullmatch(url)
        if found is None:
            return Hosts([url])
        before, hosts, after = found["before"], found["hosts"], found["after"]
        return Hosts([f"{before}{host}{after}" for host in hosts.split(",")])

    def pass_by(self, at: int) -> None:
        """That one gave no connection: the next one, unless somebody else said so before."""
        if self.first == at:
            self.first = (at + 1) % len(self.urls)
