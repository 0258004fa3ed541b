"""The fields that several schemas share, with their ranges; the tables have the same."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from app.ranges import MAX_INT, MAX_NAME, MAX_PRIORITY, MAX_WEIGHT

MAX_JSON_DEPTH = 64
MAX_TAGS = 100
MAX_BIGINT = 2**63 - 1


class Body(BaseModel):
    """A request body: unknown fields are refused, and "5" is not 5."""

    model_config = ConfigDict(extra="forbid", strict=True)


def storable(text: str) -> str:
    """Text that PostgreSQL can keep: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        raise ValueError("must not contain NUL")
    try:
        text.encode()
    except UnicodeEncodeError as broken:
        raise ValueError("must be valid Unicode") from broken
    return text


def storable_json(value: Any) -> Any:
    """Free JSON, refused where no agent could get it back as it was."""
    for depth, leaf in _leaves(value):
        if depth > MAX_JSON_DEPTH:
            raise ValueError(f"must not be nested deeper than {MAX_JSON_DEPTH}")
        if isinstance(leaf, str):
            storable(leaf)
        elif isinstance(leaf, float) and not math.isfinite(leaf):
            raise ValueError("must not contain NaN or Infinity")
        elif isinstance(leaf, int) and not -MAX_BIGINT - 1 <= leaf <= MAX_BIGINT:
            raise ValueError("must not contain whole numbers past 64 bits: send them as text")
    return value


def _leaves(value: Any) -> Iterator[tuple[int, Any]]:
    """Every scalar and key with its depth, without recursion: the nesting is the caller's."""
    rest = [(0, value)]
    while rest:
        depth, found = rest.pop()
        yield depth, found
        if depth > MAX_JSON_DEPTH:
            continue
        if isinstance(found, dict):
            yield from ((depth, key) for key in found)
            rest.extend((depth + 1, inner) for inner in found.values())
        elif isinstance(found, list):
            rest.extend((depth + 1, inner) for inner in found)


def _unique_sorted(tags: list[str]) -> list[str]:
    return sorted(set(tags))


Text = Annotated[str, AfterValidator(storable)]
Id = Annotated[int, Field(ge=1, le=MAX_BIGINT, examples=[1])]
Count = Annotated[int, Field(ge=0, le=MAX_INT)]
Name = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=MAX_NAME, pattern="^[^/]*$"),
    Field(examples=["lighting"]),
]
Title = Annotated[
    Text, StringConstraints(min_length=1, max_length=MAX_NAME), Field(examples=["shot 010"])
]
Fullpath = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=32 * (MAX_NAME + 1), pattern="^/"),
    Field(examples=["/films/hero/lighting"]),
]
Tag = Annotated[Text, StringConstraints(min_length=1, max_length=MAX_NAME)]
Tags = Annotated[
    list[Tag],
    Field(max_length=MAX_TAGS, examples=[["gpu", "linux"]]),
    AfterValidator(_unique_sorted),
]
FreeJson = Annotated[Any, BeforeValidator(storable_json)]
Priority = Annotated[
    int,
    Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="Strict among siblings; higher first"),
]
Weight = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_WEIGHT,
        description="Agents in proportion among siblings of one priority; 0: leftovers only",
    ),
]
Minimum = Annotated[
    Count | None, Field(description="Agents served before any other consideration", examples=[2])
]
Maximum = Annotated[
    Count | None,
    Field(description="Agents in or below, never exceeded; null: no limit; 0: closed"),
]


class Limits(Body):
    """What a queue and a job have in common: how many agents, and whose turn it is."""

    priority: Priority = 0
    weight: Weight = 10
    minimum_agents: Minimum = None
    maximum_agents: Maximum = None

    @field_validator("maximum_agents")
    @classmethod
    def _room_for_the_minimum(cls, maximum: int | None, info: ValidationInfo) -> int | None:
        return within(info.data.get("minimum_agents"), maximum)

    def sent(self) -> dict[str, Any]:
        """The fields that the request named, null included: what a PATCH changes."""
        return self.model_dump(exclude_unset=True)


def within(minimum: int | None, maximum: int | None) -> int | None:
    """The maximum, if it leaves room for the minimum; else `ValueError`."""
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError(f"minimum_agents ({minimum}) must not be over maximum_agents ({maximum})")
    return maximum


Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page of a list, ordered by id."""

    items: list[Item]
    next: str | None = Field(description="Send it as `cursor` for the next page; null: no more")


def page_of(items: list[Item], limit: int) -> Page[Item]:
    """A page from `limit` + 1 items asked for: the last one only says that there are more."""
    more = len(items) > limit
    shown = items[:limit]
    return Page(items=shown, next=str(shown[-1].id) if more else None)  # type: ignore[attr-defined]
