"""The replay: a history that tells of a broken rule is found, one that begins late is not."""

from datetime import UTC, datetime, timedelta

import pytest

from app.audit.findings import RECOUNT, Check
from app.audit.service import audit
from tests.audit.spoiling import audited, build, look_up, spoil
from tests.farm import Farm

_TELL = """
INSERT INTO history (actor, action, agent_id, job_id, assignment_id, detail)
SELECT 'somebody', action, agent_id, job_id, assignment_id, {detail}
FROM history WHERE assignment_id = {of} AND action = '{action}' ORDER BY id DESC LIMIT 1
"""


def again(action: str, of: int, detail: str = "detail") -> str:
    """A row of the history told a second time, at its end."""
    return _TELL.format(action=f"assignment.{action}", of=of, detail=detail)


def first(change: str, of: int, action: str = "assignment.made") -> str:
    return f"UPDATE history SET {change} WHERE assignment_id = {of} AND action = '{action}'"


def limit(maximum: int, action: str, column: str, of: int) -> str:
    """As if this maximum had been in force from the beginning."""
    return f"""UPDATE history SET detail = detail || '{{"maximum_agents": {maximum}}}'
    WHERE action = '{action}' AND {column} = {of}"""


def given(ordinal: int) -> str:
    """As if the last assignment had been of this task of the first job, with room for it."""
    return f"""UPDATE history SET detail = '{{"tasks": [{ordinal}]}}', job_id = 1
    WHERE assignment_id = 5;
    UPDATE history SET detail = detail || '{{"maximum_agents": 9}}'
    WHERE action IN ('jobqueue.created', 'job.submitted')"""


SPOILT: dict[str, tuple[str, Check, list[str]]] = {
    "a job over its maximum": (
        limit(1, "job.submitted", "job_id", 1),
        Check.MAXIMUM_PASSED,
        ["assignment 2", "assignment 4"],
    ),
    "a queue over its maximum": (
        limit(0, "jobqueue.created", "job_queue_id", 3),
        Check.MAXIMUM_PASSED,
        ["assignment 5"],
    ),
    "a queue above over its maximum": (
        limit(1, "jobqueue.created", "job_queue_id", 1),
        Check.MAXIMUM_PASSED,
        ["assignment 2", "assignment 4"],
    ),
    "an agent with two assignments at once": (
        first("agent_id = (SELECT agent_id FROM assignments WHERE id = 4)", 5),
        Check.AGENT_ASSIGNED_TWICE,
        ["assignment 5"],
    ),
    "a task given out that was done": (
        given(0),
        Check.TASK_ENDED_TWICE,
        ["assignment 5"],
    ),
    "a task given out that had failed for good": (
        given(3),
        Check.TASK_ENDED_TWICE,
        ["assignment 5"],
    ),
    "a task reported done twice": (
        again("reported", 3),
        Check.TASK_ENDED_TWICE,
        ["assignment 3"],
    ),
    "a task that two have at once": (
        given(6),
        Check.TASK_ASSIGNED_TWICE,
        ["assignment 5"],
    ),
    "an assignment that ended twice": (
        """INSERT INTO history (actor, action, job_id, assignment_id)
        VALUES ('reaper', 'assignment.ended', 1, 1)""",
        Check.ASSIGNMENT_CLOSED_TWICE,
        ["assignment 1"],
    ),
    "an assignment that is over and has no end": (
        """DELETE FROM assignments WHERE id = 5;
        UPDATE tasks SET state = 'waiting' WHERE job_id = 2;
        UPDATE job_progress SET waiting = '{[0,2)}' WHERE job_id = 2""",
        Check.ASSIGNMENT_NEVER_CLOSED,
        ["assignment 5"],
    ),
    "an assignment that has no beginning": (
        "DELETE FROM history WHERE assignment_id = 5",
        Check.ASSIGNMENT_NEVER_CLOSED,
        ["assignment 5"],
    ),
    "a report after the end": (
        again("reported", 1, """'{"done": [], "failed": [], "ended": false}'"""),
        Check.REPORT_AFTER_END,
        ["assignment 1"],
    ),
}


@pytest.fixture(autouse=True)
async def _farm(farm: Farm) -> None:
    await build(farm)


@pytest.mark.parametrize("spoilt", SPOILT)
async def test_what_the_history_tells_wrong_is_found_and_nothing_else(
    database: str, spoilt: str
) -> None:
    statements, check, subjects = SPOILT[spoilt]
    await spoil(database, statements)
    assert await audited(database, history=True) == [(check, subject) for subject in subjects]


def test_every_check_of_the_replay_is_tried() -> None:
    assert {check for _, check, _ in SPOILT.values()} == set(Check) - set(RECOUNT)


async def test_a_queue_that_the_history_moves_below_itself_is_found(database: str) -> None:
    await spoil(
        database,
        "INSERT INTO history (actor, action, job_queue_id, detail) VALUES ('somebody',"
        """ 'jobqueue.changed', 1, '{"from": {}, "to": {"parent_jobqueue_id": 2}}')""",
    )
    assert await audited(database, history=True) == [(Check.QUEUE_CYCLE, "queue 1")]


async def test_moves_reruns_stops_and_deletions_are_played_back(farm: Farm, database: str) -> None:
    await farm.set_queue("/films/hero", parent="/tv")
    await farm.set_job("still", queue="/films")
    await farm.set_queue("/films", maximum_agents=1)
    await farm.post(f"/jobs/{farm.jobs['shot']}/rerun-failed")
    await farm.finish("a1")
    await farm.post(f"/jobs/{farm.jobs['shot']}/rerun")
    assert await farm.assign("a1")
    await farm.post(f"/jobs/{farm.jobs['still']}/pause", {"stop": True})
    await farm.client.delete(f"/jobs/{farm.jobs['still']}")
    await farm.client.delete(f"/jobqueues/{farm.queues['/films']}")
    await farm.set_agent("a1", state="disabled")
    assert await audited(database, history=True) == []


async def test_a_queue_that_moves_takes_its_agents_along(farm: Farm, database: str) -> None:
    await farm.set_queue("/films/hero", parent="/tv", maximum_agents=9)
    await farm.agent("a3")
    assert await farm.gets("a3") == "shot"
    assert await audited(database, history=True) == []
    move = "UPDATE history SET detail = detail || '{\"maximum_agents\": 3}'"
    await spoil(database, f"{move} WHERE action = 'jobqueue.created' AND job_queue_id = 3")
    assert await audited(database, history=True) == [(Check.MAXIMUM_PASSED, "assignment 6")]


async def test_a_history_that_begins_late_is_judged_from_there_on(
    farm: Farm, database: str
) -> None:
    """Yesterday a queue was made and work went out; today it goes on, and it was changed."""
    await _was_yesterday(database)
    await farm.set_queue("/films", maximum_agents=1)
    await farm.finish("a0")
    assert await farm.assign("a0") is None
    await farm.set_queue("/films", maximum_agents=4)
    await farm.set_queue("/films/hero", maximum_agents=4)
    await farm.agent("a3")
    assert await farm.gets("a0") == "shot"
    assert await farm.gets("a3") == "shot"
    found = await audit(database)
    assert found.findings.kept == []
    assert found.since is not None
    assert found.replayed == 2
    assert found.unjudged == {}
    # What is known from before counts: with 2 of hero's, the third is one too many.
    await spoil(
        database,
        """UPDATE history SET detail = '{"from": {"maximum_agents": 2}, "to": {}}'
        WHERE action = 'jobqueue.changed' AND job_queue_id = 2""",
    )
    assert await audited(database, history=True) == [(Check.MAXIMUM_PASSED, "assignment 7")]


async def test_what_a_late_beginning_hides_is_said_and_no_finding(
    farm: Farm, database: str
) -> None:
    await farm.agent("a3")
    await farm.finish("a2")
    await _was_yesterday(database)
    assert await farm.gets("a3") == "still"
    await farm.finish("a3")
    await farm.client.delete(f"/jobs/{farm.jobs['still']}")
    await farm.client.delete(f"/jobqueues/{farm.queues['/tv']}")
    found = await audit(database)
    assert found.findings.kept == []
    assert found.unjudged == {"assignments with a maximum that is not known": 1}


async def _was_yesterday(database: str) -> None:
    """All that happened so far is not kept any more: only today's partition is."""
    today = datetime.now(UTC).date()
    there = "SELECT string_agg(CAST(inhrelid::regclass AS text), ' ') FROM pg_inherits"
    names = await look_up(database, f"{there} WHERE inhparent = 'history'::regclass")
    assert names
    drops = [f"DROP TABLE {name}" for name in names.split() if name != "history_default"]
    until = today + timedelta(days=2)
    await spoil(
        database,
        *drops,
        "DELETE FROM history_default",
        "UPDATE assignments SET ended_at = ended_at - interval '2 days' WHERE ended_at IS NOT NULL",
        f"CREATE TABLE history_kept PARTITION OF history"
        f" FOR VALUES FROM ('{today}') TO ('{until}')",
    )
