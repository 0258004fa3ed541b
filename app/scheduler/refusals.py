"""What agents at work are refused, each with what to do then."""

from uuid import UUID

from app.errors import Conflict, Invalid, NotFound


class AgentNotFound(NotFound):
    code = "agent_not_found"

    @classmethod
    def of(cls, agent_id: UUID) -> "AgentNotFound":
        return cls(f"there is no agent {agent_id}: register it with POST /agents")


class AgentDisabled(Conflict):
    code = "agent_disabled"


class AgentUnnamed(Invalid):
    """Only an agent's own token says which agent asks."""

    code = "agent_id_missing"


class AssignmentNotFound(NotFound):
    code = "assignment_not_found"


class StaleAssignment(Conflict):
    """The assignment has ended, other than by these results: the agent drops that work."""

    code = "stale_assignment"


class TaskNotInAssignment(Conflict):
    code = "task_not_in_assignment"


class ResultContradicts(Conflict):
    code = "result_contradicts"


def ended(assignment_id: int, because: str) -> StaleAssignment:
    why = because.replace("_", " ")
    return StaleAssignment(
        f"assignment {assignment_id} has ended ({why}): drop that work and ask again"
    )
