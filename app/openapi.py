"""The OpenAPI document: what every route can answer, and errors as problem+json."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.errors import PROBLEM_JSON, Problem, responses
from app.gate import OPEN
from app.plan.schemas import TreeFile
from app.simulation.schemas import SimulationRequest

DESCRIPTION = """
Decides which job each agent of a farm works on next.

Job queues form a tree. Every queue and job has `minimum_agents` (served before any other
consideration), `maximum_agents` (never exceeded, counting agents in or below), `priority` (strict
among siblings) and `weight` (agents in proportion among siblings). Agents poll `POST /assign`.

Every call needs a token: `Authorization: Bearer <token>`.

Errors are `application/problem+json` (RFC 9457) with a stable `code`. Lists are pages: send `next`
as `cursor` for the one after.
"""

ABOUT: dict[str, Any] = {
    "title": "farmqueue",
    "description": DESCRIPTION,
    "version": version("farmqueue"),
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}

# Any route that has a body, or parameters, can give these.
OF_EVERY_BODY = responses(400, 408, 413)
OF_EVERY_PARAMETER = responses(422)
OF_EVERY_ROUTE = responses(503)
OF_EVERY_TOKEN = responses(401, 403, 429)
SCHEME = "token"
SCHEMES = {
    SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the farm: POST /tokens makes one, or FARMQUEUE_ADMIN_TOKEN",
    }
}


def install(app: FastAPI) -> None:
    """Have `app.openapi()` tell the errors that every route shares, in the one shape."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(routes=app.routes, **ABOUT)
    schemas = made["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    # What no route has in its signature.
    for model in (Problem, TreeFile, SimulationRequest):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, part in (schema.pop("$defs") | {model.__name__: schema}).items():
            if schemas.setdefault(name, part) != part:
                raise ValueError(f"two models are named {name}: the document can have one")
    for name, schema in schemas.items():
        if name.endswith("Change"):
            _forget_defaults(schema)
    made["components"]["securitySchemes"] = SCHEMES
    for path, operations in made["paths"].items():
        for operation in operations.values():
            if path not in OPEN:
                operation["security"] = [{SCHEME: []}]
            _add_errors(operation)
    return made


def _forget_defaults(change: dict[str, Any]) -> None:
    """What a PATCH does not send stays: it has no defaults that a client could send."""
    for field in change["properties"].values():
        field.pop("default", None)


def _add_errors(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    answers |= {str(status): told for status, told in OF_EVERY_ROUTE.items()}
    if "security" in operation:
        answers |= {str(status): told for status, told in OF_EVERY_TOKEN.items()}
    if "requestBody" in operation or "parameters" in operation:
        answers |= {str(status): told for status, told in OF_EVERY_PARAMETER.items()}
    if "requestBody" in operation:
        answers |= {str(status): told for status, told in OF_EVERY_BODY.items()}
    for status, answer in answers.items():
        if int(status) >= 400:  # noqa: PLR2004
            assert PROBLEM_JSON in answer["content"], operation["operationId"]
