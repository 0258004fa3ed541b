"""The OpenAPI document is whole, and the service keeps to it whatever it is sent."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests import routes
from tests.conftest import fresh_database
from tests.farm import Farm
from tests.processes import service
from tests.tokens import AUTH


@pytest.fixture
def document() -> dict[str, Any]:
    return routes.document()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


ROUTES = """
POST /jobqueues, GET /jobqueues, GET /jobqueues/{}, PATCH /jobqueues/{}, DELETE /jobqueues/{},
GET /jobqueues/tree, POST /jobs, POST /jobs/batch, GET /jobs, GET /jobs/{}, PATCH /jobs/{},
DELETE /jobs/{}, POST /jobs/{}/pause, POST /jobs/{}/resume, POST /jobs/{}/rerun,
POST /jobs/{}/rerun-failed, GET /jobs/{}/tasks, POST /agents, GET /agents, GET /agents/{},
PATCH /agents/{}, DELETE /agents/{}, POST /agents/{}/heartbeat, POST /assign,
POST /assignments/{}/results, POST /assignments/{}/release, POST /simulate,
GET /healthz, GET /readyz, GET /metrics
"""


async def test_the_service_gives_the_document_to_whoever_asks(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    assert (await client.get("/openapi.json")).json() == document


def test_every_route_of_the_surface_is_there(document: dict[str, Any]) -> None:
    there = {
        f"{method.upper()} {re.sub(r'{.*?}', '{}', path)}"
        for method, path, _ in operations(document)
    }
    assert set(re.split(r",\s*", ROUTES.strip())) <= there


def test_every_route_has_a_summary_and_its_errors_as_problems(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        assert operation["summary"], (method, path)
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (method, path)


def test_a_patch_has_no_defaults_that_a_client_could_send(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if method == "patch":
            content = operation["requestBody"]["content"]["application/json"]
            name = content["schema"]["$ref"].rpartition("/")[2]
            fields = document["components"]["schemas"][name]["properties"]
            assert not [field for field in fields.values() if "default" in field], path


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for method, path, operation in operations(document):
        if "requestBody" not in operation:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        names = re.findall(r"#/components/schemas/(\w+)", str(schema))
        assert any(
            "examples" in schemas[name]
            or any("examples" in field for field in schemas[name]["properties"].values())
            for name in names
        ), (method, path)


async def test_an_unknown_path_and_method_are_problems_too(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/nowhere"), await client.put("/jobs")):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


LONGEST_URL = 50_000

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CASES = [
    pytest.param(f"{method.upper()} {path}", mode, id=f"{method} {path} {mode.value}")
    for method, path, operation in operations(routes.document())
    for mode in GenerationMode
    # Where nothing can be sent, nothing wrong can be sent.
    if mode is GenerationMode.POSITIVE or {"parameters", "requestBody"} & operation.keys()
]


@pytest.fixture(scope="module")
async def schema(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[OpenApiSchema]:
    """The document of a real service, on a farm where the small ids are taken."""
    log = tmp_path_factory.mktemp("service") / "log"
    async with fresh_database(server) as database:
        with service(database, log, simulate_seconds=2) as url:
            async with httpx.AsyncClient(headers=AUTH, base_url=url, timeout=60) as client:
                await populate(Farm(client))
            yield schemathesis.openapi.from_url(f"{url}/openapi.json")


async def populate(farm: Farm) -> None:
    for path in ("/films", "/films/hero", "/tv"):
        await farm.queue(path)
    for number in range(3):
        await farm.job(f"job {number}", tasks=5, queue="/films/hero")
        await farm.agent(f"a{number}")
        await farm.assign(f"a{number}")


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_no_request_gets_a_server_error_or_an_undocumented_answer(
    schema: OpenApiSchema, label: str, mode: GenerationMode
) -> None:
    operation = schema.find_operation_by_label(label)
    assert operation is not None

    # Each simulation is a process of its own.
    examples = 3 if label == "POST /simulate" else 8

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers_as_documented(case: schemathesis.Case[Any]) -> None:
        # A longer line is no HTTP that the server would read, and never reaches the service.
        assume(len(urlencode(case.query or {}, doseq=True)) < LONGEST_URL)
        drawn: Mapping[str, str] = case.headers or {}  # a wrong token among them
        kept = {name: drawn[name] for name in drawn if name.lower() != "authorization"}
        case.headers = kept | AUTH  # type: ignore[assignment]
        response = case.call_and_validate(checks=CHECKS)
        assert response.status_code not in {401, 429}, "its answers would show nothing of the route"

    answers_as_documented()
