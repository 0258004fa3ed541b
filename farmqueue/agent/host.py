"""The machine an agent runs on: what it has, and what a slot of it may offer."""

import os
import socket
from dataclasses import dataclass

import psutil

from farmqueue.agent.options import Options

_MB = 1024 * 1024
_STEPS = 64


@dataclass
class Host:
    """One machine shared by slots; memory in MB, `busy` of its slots hold work."""

    name: str
    cpus: int
    ram: int
    slots: int
    busy: int = 0

    def cpus_of(self, slot: int) -> int:
        """Its part of the cpus, at least one; the first slots get what does not divide."""
        return max(1, self.cpus // self.slots + (slot < self.cpus % self.slots))

    @property
    def ram_of_a_slot(self) -> int:
        return self.ram // self.slots

    def free_ram_of_a_slot(self) -> int:
        """What an idle slot can offer now: its part of what is free, never over its share.

        In steps of 1/64 of the share, down: each change of it is written to the farm's database.
        """
        idle = max(1, self.slots - self.busy)
        free = psutil.virtual_memory().available // _MB // idle
        step = max(1, self.ram_of_a_slot // _STEPS)
        return self.ram_of_a_slot if free >= self.ram_of_a_slot else free // step * step


def this_host(options: Options) -> Host:
    """The machine as the options describe it, the rest found by itself."""
    return Host(
        name=options.hostname or socket.gethostname(),
        cpus=options.cpus or _usable_cpus(),
        ram=options.ram or psutil.virtual_memory().total // _MB,
        slots=options.slots,
    )


def _usable_cpus() -> int:
    """The cpus this process may run on, which in a container may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
