"""Which agents can do which jobs."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Agent:
    """What a decision needs to know of an agent; memory in MB, `free_ram` as last reported.

    `within` is the id of the queue that it is bound to: it works in it and below, and nowhere else.
    """

    id: UUID
    cpus: int
    free_ram: int
    tags: frozenset[str] = frozenset()
    within: int | None = None


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a job asks of an agent."""

    cpus: int = 1
    ram: int = 32
    required_tags: frozenset[str] = frozenset()
    excluded_tags: frozenset[str] = frozenset()


def meets(agent: Agent, required: Requirements) -> bool:
    return required.ram <= agent.free_ram and meets_but_for_ram(agent, required)


def meets_but_for_ram(agent: Agent, required: Requirements) -> bool:
    """All but free memory, the only thing of an agent that changes from call to call."""
    return (
        required.cpus <= agent.cpus
        and required.required_tags <= agent.tags
        and not required.excluded_tags & agent.tags
    )


def everyone_failed(
    failed_by: frozenset[UUID], required: Requirements, online: Iterable[Agent]
) -> bool:
    """No online agent that can do the job is left that has not failed the task."""
    return all(agent.id in failed_by for agent in online if meets(agent, required))
