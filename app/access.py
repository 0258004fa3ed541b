"""Who may do what: the one place of it. Routes say which right they need."""

from enum import StrEnum


class Role(StrEnum):
    ADMIN = "admin"
    OPERATOR = "operator"
    SUBMITTER = "submitter"
    VIEWER = "viewer"
    METRICS = "metrics"
    JOIN = "join"
    AGENT = "agent"


class Right(StrEnum):
    """What a route needs. The value is how a refusal names it."""

    READ = "read the farm"
    READ_WORK = "read this"  # an agent: itself, and the jobs that it holds
    SUBMIT = "submit jobs"
    EDIT_JOBS = "change jobs"  # a submitter: those that it submitted
    EDIT_QUEUES = "change queues"
    CHANGE_AGENT = "change agents"  # an agent: say goodbye for itself
    REMOVE_AGENT = "remove agents"
    REGISTER = "register agents"  # an agent: itself
    WORK = "work as an agent"  # an agent: as itself
    METRICS = "read metrics"
    TOKENS = "manage tokens"


_READING = frozenset({Right.READ, Right.READ_WORK})

RIGHTS: dict[Role, frozenset[Right]] = {
    Role.ADMIN: frozenset(Right),
    Role.OPERATOR: frozenset(Right) - {Right.WORK, Right.TOKENS},
    Role.SUBMITTER: _READING | {Right.SUBMIT, Right.EDIT_JOBS},
    Role.VIEWER: _READING,
    Role.METRICS: frozenset({Right.METRICS}),
    Role.JOIN: frozenset({Right.REGISTER}),
    Role.AGENT: frozenset({Right.READ_WORK, Right.CHANGE_AGENT, Right.REGISTER, Right.WORK}),
}

# What an operator may not whose token is bound to a queue: an agent serves the whole farm.
OF_THE_WHOLE_FARM = frozenset({Right.CHANGE_AGENT, Right.REMOVE_AGENT, Right.REGISTER})


def may(role: Role, right: Right, *, bound: bool) -> bool:
    """Whether a role has a right; `bound`: to a queue and what is below it."""
    return right in RIGHTS[role] and not (
        bound and role is Role.OPERATOR and right in OF_THE_WHOLE_FARM
    )


def holders(right: Right) -> list[str]:
    """The roles that have a right, for whoever lacks it."""
    return [role.value for role in Role if right in RIGHTS[role]]
