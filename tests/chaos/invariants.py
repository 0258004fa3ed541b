"""What must hold after every fault, read from the database past every proxy."""

import asyncio
import json
import time
from typing import Any

from app.audit.service import audit
from app.policy.task_ids import split
from tests.chaos.crew import Call
from tests.chaos.stage import Stage

CALM_SECONDS = 30
DESK = 2  # connections of the pool that a service never gives back: its cycles, its disk
LISTENERS = 1  # connections of a service beside its pool
POOL = 10

# Transactions that nobody ends, and locks that no running statement holds.
LEFT = """
SELECT 'transaction' AS what, pid, state FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%'
UNION ALL
SELECT 'lock', l.pid, l.locktype FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND a.state = 'idle'
"""
CONNECTIONS = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'farmqueue'"


async def hold(stage: Stage) -> int:
    """Replay the history, recount, and compare with what clients were told.

    How many assignments were made in this test; all that the history tells of could be judged.
    """
    found = await audit(stage.postgres.url)
    assert [*found.findings.kept] == []
    assert found.unjudged == {}
    await every_promise_is_kept(stage)
    await _nothing_is_left(stage)
    made_here = len(await made(stage, "assignment.made"))
    assert found.replayed >= made_here
    return made_here


async def all_done(stage: Stage) -> bool:
    left = "SELECT id FROM jobs WHERE time_finished IS NULL"
    return await stage.postgres.fetch(left) == []


async def active(stage: Stage) -> list[dict[str, Any]]:
    return await stage.postgres.fetch("SELECT id FROM assignments WHERE ended_at IS NULL")


async def made(stage: Stage, action: str) -> list[dict[str, Any]]:
    """The rows of the history about this, since the test began."""
    of = "SELECT * FROM history WHERE action = $1 AND id > $2 ORDER BY id"
    rows = await stage.postgres.fetch(of, action, stage.since)
    return [_as_sent(row) for row in rows]


def _as_sent(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"detail": json.loads(row["detail"]), "agent_id": str(row["agent_id"])}


async def every_promise_is_kept(stage: Stage) -> None:
    """Whatever a client was told is in the database, of the assignment that the call was of."""
    rows = await stage.postgres.fetch("SELECT * FROM assignments")
    assignments = {row["id"]: row for row in rows}
    there = {path: await _ids(stage, path) for path in ("/jobs", "/jobqueues", "/agents")}
    for call in stage.ledger.calls:
        if not call.accepted:
            continue
        _results_are_kept(call, assignments)
        if call.path == "/assign" and call.answer is not None:
            assert str(assignments[call.answer["id"]]["agent_id"]) == call.body["agent_id"], call
        if call.path in there:
            assert call.answer is not None
            assert str(call.answer["id"]) in there[call.path], call


async def _ids(stage: Stage, path: str) -> set[str]:
    rows = await stage.postgres.fetch(f"SELECT CAST(id AS text) FROM {path[1:]}")  # noqa: S608
    return {row["id"] for row in rows}


def _results_are_kept(call: Call, assignments: dict[int, dict[str, Any]]) -> None:
    results = call.body.get("results") or []
    if not results:
        return
    named = call.body.get("assignment_id") or call.path.split("/")[2]
    row = assignments[int(named)]
    for result in results:
        _, ordinal = split(result["task_id"])
        assert ordinal in row[result["state"]], (call, row)


async def _in_hand(stage: Stage) -> list[float]:
    """Connections of each service that somebody has, of those whose process lives."""
    there = [one for one in stage.replicas if one.process and one.process.poll() is None]
    return [await stage.metric(one, "farmqueue_pool_connections_in_use") for one in there]


async def _nothing_is_left(stage: Stage) -> None:
    """No idle transaction, stray lock or lost connection once things have calmed down."""
    deadline = time.monotonic() + CALM_SECONDS
    most = len(stage.replicas) * (POOL + LISTENERS)
    while True:
        left = await stage.postgres.fetch(LEFT)
        [connections] = await stage.postgres.fetch(CONNECTIONS)
        in_hand = await _in_hand(stage)
        if not left and connections["n"] <= most and max(in_hand, default=0) <= DESK:
            return
        assert time.monotonic() < deadline, (left, connections, in_hand)
        await asyncio.sleep(0.2)
