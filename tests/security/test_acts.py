"""Several roles act on one farm, in any order, against a model of who may do what."""

from contextlib import ExitStack
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.security.stage import Stage, stage
from tests.tokens import AUTH, bearer, made

ROLES = ("admin", "operator", "bound", "submitter", "viewer", "metrics", "join")
CHANGERS = {"admin", "operator"}
who_acts = st.sampled_from(ROLES)
pick = st.integers(0, 1_000)  # of what there is


class Acts(RuleBasedStateMachine):
    """`queues` is id → parent, `jobs` id → (queue, token that submitted), `agents` id → token."""

    server = ""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.on: Stage = self.stack.enter_context(stage(self.server))
        self.tokens: dict[str, str] = {}
        self.queues: dict[int, int | None] = {}
        self.jobs: dict[int, tuple[int | None, str]] = {}
        self.agents: dict[str, str] = {}
        self.held: dict[str, dict[str, Any]] = {}
        self.ended: list[str] = []
        self.films = 0
        self.names = 0

    def teardown(self) -> None:
        self.stack.close()

    @initialize()
    def begin(self) -> None:
        for path in ("films", "tv"):
            told = self.ask("admin", "POST", "/jobqueues", {"name": path})
            self.queues[told.json()["id"]] = None
        self.films = min(self.queues)
        client = self.on.farm.client
        for role in ROLES[1:]:
            bound = {"job_queue_id": self.films} if role == "bound" else {}
            kind = "operator" if role == "bound" else role
            self.tokens[role] = self.on.run(made(client, kind, role, **bound))
        for _ in range(2):
            self.joins()

    # --- asking ---

    def ask(self, who: str, method: str, path: str, body: object = None) -> httpx.Response:
        headers = AUTH if who == "admin" else bearer(self.tokens[who])
        answer = self.on.call(method, path, headers, body)
        assert answer.status_code < 500, answer.text
        return answer

    def expect(self, answer: httpx.Response, *, allowed: bool) -> bool:
        """Whether it was done; refused is who may not, and nobody else."""
        assert (answer.status_code != 403) is allowed, answer.text
        assert answer.status_code not in {401, 429}, answer.text
        return answer.is_success

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def queue(self, number: int, *, root: bool = True) -> int | None:
        there: list[int | None] = [*self.queues, *([None] if root else [])]
        return there[number % len(there)]

    def inside(self, queue: int | None) -> bool:
        while queue is not None and queue != self.films:
            queue = self.queues[queue]
        return queue is not None

    def may_change(self, who: str, *queues: int | None) -> bool:
        return who in CHANGERS or (who == "bound" and all(map(self.inside, queues)))

    # --- queues ---

    @rule(who=who_acts, parent=pick)
    def makes_a_queue(self, who: str, parent: int) -> None:
        above = self.queue(parent)
        body = {"name": self.name(), "parent_jobqueue_id": above}
        answer = self.ask(who, "POST", "/jobqueues", body)
        if self.expect(answer, allowed=self.may_change(who, above)):
            self.queues[answer.json()["id"]] = above

    @rule(who=who_acts, which=pick, parent=pick)
    def moves_a_queue(self, who: str, which: int, parent: int) -> None:
        queue, above = self.queue(which, root=False), self.queue(parent)
        assert queue is not None
        answer = self.ask(who, "PATCH", f"/jobqueues/{queue}", {"parent_jobqueue_id": above})
        moves = self.queues[queue] != above
        allowed = self.may_change(who, queue, *([above] if moves else []))
        if who == "bound" and queue == self.films and moves:
            allowed = False
        if self.expect(answer, allowed=allowed):
            self.queues[queue] = above

    @rule(who=who_acts, which=pick, paused=st.booleans())
    def pauses_a_queue(self, who: str, which: int, paused: bool) -> None:
        queue = self.queue(which, root=False)
        answer = self.ask(who, "PATCH", f"/jobqueues/{queue}", {"paused": paused})
        self.expect(answer, allowed=self.may_change(who, queue))

    # --- jobs ---

    @rule(who=who_acts, where=st.lists(pick, min_size=1, max_size=3))
    def submits(self, who: str, where: list[int]) -> None:
        queues = [self.queue(number) for number in where]
        shots = [{"title": self.name(), "frames": "1-4", "job_queue_id": queue} for queue in queues]
        answer = self.ask(who, "POST", "/jobs/batch", {"jobs": shots})
        allowed = who == "submitter" or self.may_change(who, *queues)
        if self.expect(answer, allowed=allowed):
            for queue, job in zip(queues, answer.json()["items"], strict=True):
                self.jobs[job["id"]] = (queue, who)

    def may_edit(self, who: str, job: int, *to: int | None) -> bool:
        queue, by = self.jobs[job]
        return self.may_change(who, queue, *to) or who == by == "submitter"

    @precondition(lambda self: self.jobs)
    @rule(who=who_acts, which=pick, to=st.none() | pick)
    def changes_a_job(self, who: str, which: int, to: int | None) -> None:
        job = list(self.jobs)[which % len(self.jobs)]
        queue = self.jobs[job][0] if to is None else self.queue(to)
        change = {"weight": 7} if to is None else {"job_queue_id": queue}
        answer = self.ask(who, "PATCH", f"/jobs/{job}", change)
        if self.expect(answer, allowed=self.may_edit(who, job, queue)):
            self.jobs[job] = (queue, self.jobs[job][1])

    @precondition(lambda self: self.jobs)
    @rule(who=who_acts, which=pick, what=st.sampled_from(["pause", "resume", "rerun", "delete"]))
    def acts_on_a_job(self, who: str, which: int, what: str) -> None:
        job = list(self.jobs)[which % len(self.jobs)]
        if what == "delete":
            answer = self.ask(who, "DELETE", f"/jobs/{job}")
        else:
            answer = self.ask(who, "POST", f"/jobs/{job}/{what}")
        if self.expect(answer, allowed=self.may_edit(who, job)) and what == "delete":
            del self.jobs[job]

    # --- agents ---

    @rule()
    def joins(self) -> None:
        told = self.ask("join", "POST", "/agents", {"hostname": self.name()}).json()
        self.agents[told["id"]] = f"agent {told['id']}"
        self.tokens[f"agent {told['id']}"] = told["token"]

    def pair(self, one: int, other: int) -> tuple[str, str]:
        there = list(self.agents)
        return there[one % len(there)], there[other % len(there)]

    @rule(one=pick, other=pick)
    def asks_for_work(self, one: int, other: int) -> None:
        actor, meant = self.pair(one, other)
        answer = self.ask(self.agents[actor], "POST", "/assign", {"agent_id": meant})
        if self.expect(answer, allowed=actor == meant):
            self.held.pop(meant, None)
            if answer.status_code == 200:
                self.held[meant] = answer.json()

    @precondition(lambda self: self.held)
    @rule(one=pick, other=pick, state=st.sampled_from(["done", "failed"]))
    def reports(self, one: int, other: int, state: str) -> None:
        holders = list(self.held)
        holder = holders[other % len(holders)]
        actor, _ = self.pair(one, other)
        held = self.held[holder]
        results = [{"task_id": task["id"], "state": state} for task in held["tasks"]]
        path = f"/assignments/{held['id']}/results"
        answer = self.ask(self.agents[actor], "POST", path, {"results": results})
        if actor != holder:
            assert answer.status_code in {403, 404, 409}, answer.text
        elif answer.is_success:
            del self.held[holder]

    @rule(one=pick, other=pick)
    def looks(self, one: int, other: int) -> None:
        actor, meant = self.pair(one, other)
        answer = self.ask(self.agents[actor], "GET", f"/agents/{meant}")
        self.expect(answer, allowed=actor == meant)
        for job in self.jobs:
            seen = self.ask(self.agents[actor], "GET", f"/jobs/{job}").is_success
            assert not seen or self.held[actor]["job"]["id"] == job

    # --- tokens ---

    @rule(who=who_acts, role=st.sampled_from(["viewer", "operator", "admin"]))
    def makes_a_token(self, who: str, role: str) -> None:
        answer = self.ask(who, "POST", "/tokens", {"role": role, "name": self.name()})
        if self.expect(answer, allowed=who == "admin"):
            self.ended.append(answer.json()["token"])
            gone = self.ask("admin", "DELETE", f"/tokens/{answer.json()['id']}")
            assert gone.status_code == 204

    @precondition(lambda self: self.ended)
    @rule(which=pick)
    def comes_back_with_a_token_that_was_revoked(self, which: int) -> None:
        token = self.ended[which % len(self.ended)]
        assert self.on.call("GET", "/jobs", bearer(token)).status_code == 401

    @invariant()
    def what_is_stored_agrees(self) -> None:
        assert self.on.findings() == []

    @invariant()
    def the_tree_is_the_one_of_the_model(self) -> None:
        rows = self.on.run(self.on.database.fetch("SELECT id, parent_jobqueue_id FROM jobqueues"))
        assert {row[0]: row[1] for row in rows} == self.queues
        jobs = self.on.run(self.on.database.fetch("SELECT id, job_queue_id FROM jobs"))
        assert {row[0]: row[1] for row in jobs} == {
            job: queue for job, (queue, _) in self.jobs.items()
        }


def test_whoever_acts_in_whatever_order_does_what_is_theirs_and_nothing_else(server: str) -> None:
    machine = type("OnThisServer", (Acts,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
