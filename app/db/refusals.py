"""A violated constraint, told by its name, becomes the error that a caller can act on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from app.errors import AppError


@contextmanager
def refused_as(refusals: Mapping[str, AppError]) -> Iterator[None]:
    """Raise the `AppError` kept under the constraint's name; others pass as they are."""
    try:
        yield
    except IntegrityError as violated:
        refusal = refusals.get(constraint_name(violated) or "")
        if refusal is None:
            raise
        raise refusal from violated


def constraint_name(violated: IntegrityError) -> str | None:
    """The violated constraint's name, as PostgreSQL reports it."""
    cause = violated.orig.__cause__ if violated.orig else None
    name: str | None = getattr(cause, "constraint_name", None)
    return name
