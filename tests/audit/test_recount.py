"""The recount: every way to spoil what is stored is found, and nothing else with it."""

import pytest

from app.audit.findings import ADVICE, RECOUNT, Check
from tests.audit.spoiling import audited, build, spoil
from tests.farm import Farm


@pytest.fixture(autouse=True)
async def _farm(farm: Farm) -> None:
    """Job 1 is shot, 2 still; assignments 3 to 5 are active, of agents a0 to a2."""
    await build(farm)


# What is done to the database; the check that finds it, at what.
SPOILT: dict[str, tuple[str, Check, list[str]]] = {
    "a task too many counted as done": (
        "UPDATE job_progress SET tasks_done = tasks_done + 1 WHERE job_id = 1",
        Check.JOB_COUNTS,
        ["job 1"],
    ),
    "a failed task that is not counted": (
        "UPDATE job_progress SET tasks_failed = tasks_failed - 1 WHERE job_id = 1",
        Check.JOB_COUNTS,
        ["job 1"],
    ),
    "a task that is done and waits": (
        "UPDATE job_progress SET waiting = waiting + '{[0,1)}' WHERE job_id = 1",
        Check.WAITING_TASKS,
        ["job 1"],
    ),
    "a task that neither waits nor was ever given out": (
        "UPDATE job_progress SET waiting = waiting - '{[19,20)}' WHERE job_id = 1",
        Check.WAITING_TASKS,
        ["job 1"],
    ),
    "a task that waits and that the job does not have": (
        "UPDATE job_progress SET waiting = waiting - '{[19,20)}' + '{[20,21)}' WHERE job_id = 1",
        Check.WAITING_TASKS,
        ["job 1"],
    ),
    "a job of which nothing says how far it is": (
        "DELETE FROM job_progress WHERE job_id = 1",
        Check.JOB_PROGRESS,
        ["job 1"],
    ),
    "an agent with two assignments": (
        """UPDATE assignments SET agent_id = (SELECT agent_id FROM assignments WHERE id = 4)
        WHERE id = 3""",
        Check.AGENT_HELD_TWICE,
        ["agent"],
    ),
    "a task that runs for another assignment than the one that has it": (
        """UPDATE tasks SET assignment_id = 3 WHERE assignment_id = 4 AND ordinal =
        (SELECT max(ordinal) FROM tasks WHERE assignment_id = 4);
        UPDATE assignments SET ordinals = ordinals || (SELECT max(ordinal) FROM tasks
        WHERE assignment_id = 3) WHERE id = 3""",
        Check.ASSIGNMENT_TASKS,
        ["assignment 4"],
    ),
    "an assignment that is reported whole and goes on": (
        """UPDATE assignments SET ordinals = done WHERE id = 3;
        UPDATE assignments a SET ordinals = ordinals || ARRAY(SELECT ordinal FROM tasks
        WHERE assignment_id = 3 AND state = 'running') WHERE id = 4;
        UPDATE tasks SET assignment_id = 4 WHERE assignment_id = 3 AND state = 'running'""",
        Check.ASSIGNMENT_TASKS,
        ["assignment 3"],
    ),
    "a task that runs for an assignment that is over": (
        "UPDATE assignments SET ended_at = now(), ended_because = 'released' WHERE id = 5",
        Check.TASK_NOT_HELD,
        ["job 2"],
    ),
    "a task that runs for nobody": (
        "DELETE FROM assignments WHERE id = 5",
        Check.TASK_NOT_HELD,
        ["job 2"],
    ),
    "an assignment of an agent that is gone": (
        "DELETE FROM agents WHERE id = (SELECT agent_id FROM assignments WHERE id = 5)",
        Check.ASSIGNMENT_STRAY,
        ["assignment 5"],
    ),
    "an assignment of an agent that is offline": (
        "UPDATE agents SET online = false WHERE hostname = 'a2'",
        Check.ASSIGNMENT_STRAY,
        ["assignment 5"],
    ),
    "an assignment of a job that is gone": (
        "DELETE FROM tasks WHERE job_id = 2; DELETE FROM jobs WHERE id = 2",
        Check.ASSIGNMENT_STRAY,
        ["assignment 5"],
    ),
    "an assignment of a job that is finished": (
        """UPDATE tasks SET state = 'done' WHERE job_id = 2;
        INSERT INTO tasks (job_id, ordinal, state, assignment_id) VALUES (2, 1, 'done', 5);
        UPDATE job_progress SET waiting = '{}', tasks_done = 2 WHERE job_id = 2;
        UPDATE jobs SET time_finished = now() WHERE id = 2""",
        Check.ASSIGNMENT_STRAY,
        ["assignment 5"],
    ),
    "a task of a job that is gone": (
        "INSERT INTO tasks (job_id, ordinal, state, assignment_id) VALUES (3, 0, 'done', 1)",
        Check.TASK_STRAY,
        ["job 3"],
    ),
    "tasks of jobs that are gone": (
        """INSERT INTO tasks (job_id, ordinal, state, assignment_id)
        SELECT job_id, n, 'waiting', 1 FROM unnest('{0, 7}'::int[]) job_id,
        generate_series(0, 2) n""",
        Check.TASK_STRAY,
        ["job 0", "job 7"],
    ),
    "a fullpath that is not its place": (
        "UPDATE jobqueues SET fullpath = '/tv/hero' WHERE name = 'hero'",
        Check.QUEUE_FULLPATH,
        ["queue 2"],
    ),
    "queues in a circle": (
        "UPDATE jobqueues SET parent_jobqueue_id = 2 WHERE id = 1",
        Check.QUEUE_CYCLE,
        ["queue 1", "queue 2"],
    ),
}


async def test_a_farm_that_is_well_has_no_finding(database: str) -> None:
    assert await audited(database, history=True) == []


async def test_a_maximum_lowered_below_what_is_assigned_is_no_finding(
    farm: Farm, database: str
) -> None:
    await farm.set_queue("/films", maximum_agents=0)
    await farm.set_job("still", maximum_agents=0)
    assert await audited(database, history=True) == []


@pytest.mark.parametrize("spoilt", SPOILT)
async def test_what_is_spoilt_is_found_and_nothing_else(database: str, spoilt: str) -> None:
    statements, check, subjects = SPOILT[spoilt]
    await spoil(database, statements)
    found = await audited(database, history=False)
    assert {one for one, _ in found} == {check}
    assert [subject.startswith(of) for (_, subject), of in zip(found, subjects, strict=True)]


def test_every_check_of_the_recount_is_tried_and_every_one_has_advice() -> None:
    assert {check for _, check, _ in SPOILT.values()} == set(RECOUNT)
    assert ADVICE.keys() == set(Check)


async def test_a_job_of_which_two_rows_say_how_far_it_is_is_found(database: str) -> None:
    await spoil(
        database,
        "INSERT INTO job_progress SELECT job_id, version + 1, tasks_total, tasks_done,"
        " tasks_failed, waiting, time_started FROM job_progress WHERE job_id = 1",
    )
    assert (Check.JOB_PROGRESS, "job 1") in await audited(database, history=False)
