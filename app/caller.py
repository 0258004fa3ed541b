"""Who asks: the identity behind a token, and whether it may."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from app.access import Right, Role, holders, may
from app.clock import steady
from app.errors import Forbidden, Unauthorized

SCOPE = "farmqueue.caller"


class OtherAgent(Forbidden):
    """An agent acts for itself only."""

    code = "other_agent"


class OtherSubtree(Forbidden):
    """The token is bound to a queue, and this lies outside."""

    code = "other_subtree"


@dataclass(slots=True, eq=False, weakref_slot=True)
class Caller:
    """An identity. `token_id` is None for the admin token of the environment.

    `deadline` is when the token expires, by this process's own steady clock; `ended`: it was
    revoked. Both change in place, so that whoever holds a caller hears of it.
    """

    role: Role
    name: str
    token_id: int | None = None
    agent_id: UUID | None = None
    job_queue_id: int | None = None
    deadline: float | None = None
    ended: bool = False
    digest: bytes | None = None  # of its token, as the database has it

    @property
    def actor(self) -> str:
        """The name under which its changes are recorded."""
        return self.name if self.token_id is None else f"{self.role}:{self.name}"

    def stands(self) -> bool:
        """Whether its token is valid, as far as this process heard."""
        return not self.ended and (self.deadline is None or steady() < self.deadline)

    def must_stand(self) -> None:
        if not self.stands():
            raise token_ended()

    def has(self, right: Right) -> bool:
        return may(self.role, right, bound=self.job_queue_id is not None)

    def must_have(self, right: Right) -> None:
        if self.has(right):
            return
        bound = self.job_queue_id is not None
        if bound and may(self.role, right, bound=False):
            raise OtherSubtree(
                f"this token is bound to queue {self.job_queue_id}: {right} takes another"
            )
        roles = " or ".join(holders(right))
        raise Forbidden(
            f"to {right} takes a token of role {roles}; the role of this is {self.role}"
        )

    def must_be_agent(self, agent_id: UUID | None) -> None:
        """An agent acts for itself; all others were let in for any agent."""
        if self.agent_id is not None and self.agent_id != agent_id:
            raise OtherAgent(f"this is the token of agent {self.agent_id}, which acts for itself")


def token_ended() -> Unauthorized:
    return Unauthorized(
        "this token is not valid: it is unknown, was revoked, or has expired; ask an admin for one"
    )


def the_caller(request: Request) -> Caller:
    found: Caller = request.scope[SCOPE]
    return found


async def _caller(request: Request) -> Caller:
    return the_caller(request)


Asking = Annotated[Caller, Depends(_caller)]


class Needs:
    """A dependency of a route: the right that its callers must have."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, request: Request) -> None:
        the_caller(request).must_have(self.right)


class GuardedRoute(APIRoute):
    """A route that asks for its rights before it reads a body: who may not hears that alone."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        asked = [depends.dependency for depends in self.dependencies]
        rights = [one.right for one in asked if isinstance(one, Needs)]

        async def guarded(request: Request) -> Response:
            for right in rights:
                the_caller(request).must_have(right)
            return await handle(request)

        return guarded


def needs(right: Right) -> Any:
    """For the `dependencies` of a route."""
    return Depends(Needs(right))
