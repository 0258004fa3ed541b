"""Drawn requests as everybody: no 5xx, nothing that is not theirs, nothing read that is secret."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from app.gate import OPEN
from app.policy.task_ids import split
from tests.routes import document
from tests.security.stage import Stage, stage
from tests.security.test_matrix import MAY
from tests.tokens import bearer, made

DRAWN = 40  # requests of each
KINDS = sorted(
    {"admin", "operator", "bound", "submitter", "viewer", "metrics", "join", "agent", "nobody"}
)
OWN_AGENT, OTHER_AGENT = 0, 1

ROWS = """
WITH RECURSIVE known AS (
    SELECT CAST($1 AS bigint) AS queue, CAST($2 AS bigint) AS submitter, CAST($3 AS uuid) AS agent
), below AS (
    SELECT queue AS id FROM known
    UNION ALL SELECT q.id FROM jobqueues q JOIN below b ON q.parent_jobqueue_id = b.id
), others AS (SELECT id FROM jobs j WHERE {jobs})
SELECT 'queue ' || CAST(to_jsonb(q) AS text) AS said FROM jobqueues q WHERE {queues}
UNION ALL SELECT 'job ' || CAST(to_jsonb(j) AS text) FROM jobs j JOIN others USING (id)
UNION ALL SELECT 'task ' || CAST(to_jsonb(t) AS text) FROM tasks t JOIN others o ON o.id = t.job_id
UNION ALL SELECT 'agent ' || CAST(to_jsonb(a) AS text) FROM agents a WHERE {agents}
UNION ALL SELECT 'token ' || CAST(to_jsonb(t) - 'last_used_at' AS text) FROM tokens t WHERE {tokens}
ORDER BY 1
"""
EVERYTHING = dict.fromkeys(("queues", "jobs", "agents", "tokens"), "true")
NOTHING = dict.fromkeys(("queues", "jobs", "agents", "tokens"), "false")
# What each kind may not change.
OTHERS = {
    "viewer": EVERYTHING,
    "metrics": EVERYTHING,
    "nobody": EVERYTHING,
    "bound": EVERYTHING
    | {
        "queues": "q.id NOT IN (SELECT id FROM below)",
        "jobs": "job_queue_id IS NULL OR job_queue_id NOT IN (SELECT id FROM below)",
    },
    "submitter": EVERYTHING
    | {"jobs": "submitted_by IS DISTINCT FROM (SELECT submitter FROM known)"},
    "join": EVERYTHING
    | {"agents": "joined_with IS NULL", "tokens": "role NOT IN ('join', 'agent')"},
    "agent": EVERYTHING
    | {
        "jobs": "false",
        "agents": "id <> (SELECT agent FROM known)",
        "tokens": "agent_id IS DISTINCT FROM (SELECT agent FROM known)",
    },
    "operator": NOTHING | {"tokens": "role <> 'agent'"},
    "admin": NOTHING,
}


@dataclass
class Place:
    on: Stage
    bound: int = 0
    submitter: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    agents: list[str] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ids(self) -> dict[str, list[Any]]:
        """Those that there are, for the parts of a path."""
        queues, jobs = self.on.farm.queues, self.on.farm.jobs
        return {
            "jobqueue_id": list(queues.values()),
            "job_id": list(jobs.values()),
            "agent_id": self.agents,
            "assignment_id": [held["id"] for held in self.held],
            "task_id": [held["tasks"][0]["id"] for held in self.held],
            "token_id": [1, 2, 3],
        }

    def others(self, kind: str) -> list[str]:
        """What is not theirs, row by row."""
        values = (self.bound, self.submitter, self.agents[OWN_AGENT])
        rows = self.on.run(self.on.database.fetch(ROWS.format(**OTHERS[kind]), *values))
        return [row["said"] for row in rows]


async def populate(place: Place) -> None:
    farm = place.on.farm
    for path in ("/films", "/films/hero", "/tv", "/tv/news"):
        await farm.queue(path)
    place.bound = farm.queues["/films"]
    for kind in ("admin", "operator", "submitter", "viewer", "metrics", "join"):
        place.tokens[kind] = await made(farm.client, kind)
    place.tokens["bound"] = await made(farm.client, "operator", job_queue_id=place.bound)
    place.submitter = int(place.tokens["submitter"].split("_")[2])
    for number, queue in enumerate(("/films/hero", "/tv/news")):
        await farm.job(f"job {number}", tasks=5, queue=queue)
    shot = {"title": "own", "start": 1, "end": 3, "queue": "/tv"}
    own = await farm.client.post("/jobs", json=shot, headers=bearer(place.tokens["submitter"]))
    farm.jobs["own"] = own.json()["id"]
    for number in range(2):
        answer = await farm.client.post(
            "/agents", json={"hostname": f"a{number}"}, headers=bearer(place.tokens["join"])
        )
        told = answer.json()
        place.agents.append(told["id"])
        place.tokens.setdefault("agent", told["token"])
        place.tokens[f"agent {number}"] = told["token"]
        farm.agents[f"a{number}"] = told["id"]
        held = await farm.assign(f"a{number}")
        assert held is not None
        place.held.append(held)
    assert place.held[OWN_AGENT]["job"]["id"] != place.held[OTHER_AGENT]["job"]["id"]


@pytest.fixture
def place(server: str) -> Iterator[Place]:
    with stage(server) as on:
        found = Place(on)
        on.run(populate(found))
        yield found


def cases() -> st.SearchStrategy[Any]:
    told = document()
    schema = schemathesis.openapi.from_dict(told)
    return st.one_of(
        *(
            schema[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE)
            for path, methods in told["paths"].items()
            for method in methods
            if path not in OPEN
        )
    )


CASES = cases()


def sent(place: Place, case: Any, token: str | None) -> httpx.Response:
    """The drawn request, with this token and no other."""
    case.headers = {
        name: value
        for name, value in (case.headers or {}).items()
        if name.lower() not in {"authorization", "x-request-id"}
    }
    case.cookies = {}
    case.query = {**(case.query or {}), **({"wait": 0} if "wait" in (case.query or {}) else {})}
    if isinstance(case.body, dict) and "wait" in case.body:
        case.body["wait"] = 0
    asked = requests.Request(**case.as_transport_kwargs(base_url="http://farm")).prepare()
    assert asked.method is not None
    assert asked.url is not None
    assert asked.body is None or isinstance(asked.body, (str, bytes))
    headers = {str(name): str(value) for name, value in asked.headers.items()}
    return place.on.run(
        place.on.client.request(
            asked.method,
            asked.url,
            content=asked.body,
            headers=headers | (bearer(token) if token else {}),
        )
    )


def is_its_own(place: Place, asked: dict[str, Any]) -> bool:
    """Whether this is the agent, or of the job that it holds."""
    own = place.held[OWN_AGENT]["job"]["id"]
    if "task_id" in asked:
        return bool(split(int(asked["task_id"]))[0] == own)
    return asked in ({"agent_id": place.agents[OWN_AGENT]}, {"job_id": own})


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_does_or_reads_what_is_not_theirs(place: Place, kind: str) -> None:
    token = place.tokens.get(kind)
    secrets = set(place.tokens.values())
    before = place.others(kind)
    seen: set[int] = set()

    @settings(
        max_examples=DRAWN,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=CASES, data=st.data())
    def answers(case: Any, data: st.DataObject) -> None:
        for name, there in place.ids.items():
            if name in (case.path_parameters or {}):
                case.path_parameters[name] = data.draw(st.sampled_from(there), label=name)
        route = f"{case.method.upper()} {case.path}"
        answer = sent(place, case, token)
        seen.add(answer.status_code)
        assert answer.status_code < 500, (route, answer.text)
        if token is None:
            assert answer.status_code == 401, route
        elif kind not in MAY[route]:
            assert answer.status_code == 403, (route, answer.text)
        elif kind == "agent" and answer.is_success and case.method.upper() == "GET":
            assert is_its_own(place, case.path_parameters), route
        assert not [secret for secret in secrets if secret in answer.text], route
        if answer.is_success and case.method.upper() != "GET":
            assert place.others(kind) == before, route

    answers()
    assert place.others(kind) == before
    assert seen
