"""What forms send, as the bodies that the API takes: the same schemas judge it."""

import re
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from app.errors import Invalid
from app.fields import MAX_BIGINT

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
MOST_FIELDS = 1_100
MOST_BYTES = 100_000

Form = dict[str, list[str]]


async def _form(request: Request) -> Form:
    """Who is not logged in sends one too: no more is taken in than a form has."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"a form has at most {MOST_BYTES} bytes: choose fewer")
    try:
        return parse_qs(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=bool(body),
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise Invalid("a form is what this takes: load the page anew") from None


Sent = Annotated[Form, Depends(_form)]

Model = TypeVar("Model", bound=BaseModel)


def one(form: Form, name: str) -> str:
    """The value of a field, without what surrounds it; empty where it was not sent."""
    return form.get(name, [""])[-1].strip()


def path_of(text: str) -> str:
    """The fullpath that somebody wrote, with or without the slashes around it; / for nothing."""
    return "/" + text.strip().strip("/")


def number(text: str) -> int | str | None:
    """None for nothing; what is no whole number stays, for the schema to refuse."""
    if not text:
        return None
    return int(text) if _WHOLE.fullmatch(text) else text


def ids(form: Form, name: str = "id") -> list[int]:
    """The ids that were chosen, in order; those twice once."""
    found = {number(text) for text in form.get(name, [])}
    chosen = [one for one in found if isinstance(one, int) and 1 <= one <= MAX_BIGINT]
    if not found or len(chosen) < len(found):
        raise Invalid("choose at least one", field=name)
    return sorted(chosen)


def made(model: type[Model], values: dict[str, Any]) -> Model:
    """The body of the API that these values make; errors are those of the API."""
    try:
        return model.model_validate(values)
    except ValidationError as wrong:
        found = [{**error, "loc": ("body", *error["loc"])} for error in wrong.errors()]
        raise RequestValidationError(found) from None
