"""What nodes and agents are called."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from app.explain.schemas import AgentBrief, Node
from app.policy.tree import Job, Queue, path
from app.scheduler.kept import KeptFarm

# As long as a title may be in a sentence.
LONGEST = 40


@dataclass(frozen=True, slots=True)
class Names:
    kept: KeptFarm

    def node(self, node: Queue | Job) -> Node:
        if isinstance(node, Job):
            return Node(kind="job", id=node.id, name=self.kept.jobs[node.id].title)
        return Node(kind="queue", id=node.id or None, name=self.fullpath(node))

    def fullpath(self, queue: Queue) -> str:
        above = [self.kept.names[at.id] for at in path(queue) if at.parent is not None]
        return "/" + "/".join(reversed(above))

    def word(self, node: Queue | Job) -> str:
        """As in a sentence: /films, job 12 'Shot 42'."""
        return word(self.node(node))

    def agent(self, agent_id: UUID) -> AgentBrief:
        return AgentBrief(id=agent_id, hostname=self.kept.agents[agent_id].hostname)


def word(node: Node) -> str:
    if node.kind == "queue":
        return node.name
    title = node.name if len(node.name) <= LONGEST else node.name[: LONGEST - 1] + "…"
    return f"job {node.id} '{title}'" if title else f"job {node.id}"


def listed(words: Iterable[object], most: int = 3) -> str:
    """As in: a, b, c and 2 more."""
    every = [str(one) for one in words]
    more = len(every) - most
    return ", ".join(every[:most]) + (f" and {more} more" if more > 0 else "")
