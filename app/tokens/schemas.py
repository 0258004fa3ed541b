"""Tokens on the wire. The token itself only where it is made."""

from datetime import UTC, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from app.access import Role
from app.fields import Body, Id, Text
from app.ranges import MAX_INT, MAX_NAME

BOUND = (Role.OPERATOR, Role.JOIN)

TokenName = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=MAX_NAME, pattern=r"^[^\s\x00-\x1f\x7f]+$"),
]


class TokenCreate(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"role": "operator", "name": "alice", "job_queue_id": 1},
                {"role": "join", "name": "render-nodes", "uses": 40},
            ]
        }
    )

    role: Annotated[Role, Field(strict=False)] = Field(
        description="An agent gets its own token from POST /agents, never here"
    )
    name: TokenName = Field(description="Whose it is; the history shows it", examples=["alice"])
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        None, description="Unset: never; of a join token 24 hours from now, at most 30 days"
    )
    job_queue_id: Id | None = Field(
        None, description="operator, join: only for this queue and what is below it"
    )
    uses: Annotated[int, Field(ge=1, le=MAX_INT)] | None = Field(
        None, description="join: registrations that it is good for; unset: any number"
    )

    @field_validator("expires_at")
    @classmethod
    def _in_a_year_that_all_zones_have(cls, found: datetime | None) -> datetime | None:
        try:
            return None if found is None else found.astimezone(UTC)
        except OverflowError:
            raise ValueError("must be of a year that every calendar has") from None

    @model_validator(mode="after")
    def _fields_of_the_role(self) -> Self:
        if self.role is Role.AGENT:
            raise ValueError("role: an agent gets its token from POST /agents, with a join token")
        if self.job_queue_id is not None and self.role not in BOUND:
            raise ValueError("job_queue_id: only the roles operator and join are bound to a queue")
        if self.uses is not None and self.role is not Role.JOIN:
            raise ValueError("uses: only a join token has a number of uses")
        return self


class Token(BaseModel):
    id: int
    role: Role
    name: str = Field(examples=["alice"])
    valid: bool = Field(description="False: revoked or expired")
    created_at: datetime
    created_by: str = Field(examples=["admin"])
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To about a minute")
    job_queue_id: int | None
    agent_id: UUID | None
    uses_left: int | None = Field(description="Of a join token; null: any number")


class NewToken(Token):
    token: str = Field(description="Shown this once: keep it now")
