"""What may be done to the queue tree. Edits come one by one, and decisions see each whole."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.db.engine import lock_tree_and_farm
from app.db.refusals import refused_as
from app.errors import Conflict, Invalid, NotFound
from app.fields import within
from app.history.store import record
from app.jobqueues import store
from app.jobqueues.bounds import must_be_inside, must_not_be_bound_to
from app.jobqueues.schemas import (
    JobBrief,
    JobQueue,
    JobQueueChange,
    JobQueueCreate,
    JobQueueDetails,
    QueueBrief,
    TaskTotals,
    TreeNode,
)
from app.ranges import MAX_DEPTH


class JobQueueNotFound(NotFound):
    code = "jobqueue_not_found"


class JobQueueNameTaken(Conflict):
    """A sibling already has this name."""

    code = "jobqueue_name_taken"


class JobQueueCycle(Conflict):
    code = "jobqueue_cycle"


class JobQueueInUse(Conflict):
    code = "jobqueue_in_use"


class NoSuchQueue(Invalid):
    """A body names a queue that is not there."""

    code = "no_such_jobqueue"


class TooDeep(Invalid):
    code = "jobqueue_too_deep"


ROOT = "/"


async def create(connection: AsyncConnection, asked: JobQueueCreate, caller: Caller) -> JobQueue:
    await lock_tree_and_farm(connection)
    parent_id = await _parent(connection, asked)
    await must_be_inside(connection, caller, parent_id)
    above = 0 if parent_id is None else len(await store.ancestors(connection, parent_id))
    _check_depth(above + 1, _parent_field(asked))
    values = asked.model_dump(exclude={"parent"}) | {"parent_jobqueue_id": parent_id}
    with refused_as(_taken(asked.name)):
        queue_id = await store.add(connection, values | {"fullpath": ""})
    await store.repath(connection, queue_id)
    await record(connection, caller.actor, "jobqueue.created", job_queue_id=queue_id, detail=values)
    return await get(connection, queue_id)


async def get(connection: AsyncConnection, queue_id: int) -> JobQueue:
    return JobQueue.model_validate(await _row(connection, queue_id))


async def details(connection: AsyncConnection, queue_id: int) -> JobQueueDetails:
    row = await _row(connection, queue_id)
    parent_id = row["parent_jobqueue_id"]
    children, children_total = await store.children(connection, queue_id)
    jobs, jobs_total = await store.jobs_in(connection, queue_id)
    return JobQueueDetails(
        **row,
        parent=parent_id and QueueBrief.model_validate(await _row(connection, parent_id)),
        children=[QueueBrief.model_validate(child) for child in children],
        children_total=children_total,
        jobs=[JobBrief.model_validate(job) for job in jobs],
        jobs_total=jobs_total,
    )


async def page(
    connection: AsyncConnection, matching: dict[str, Any], after: int, limit: int
) -> list[JobQueue]:
    """Queues past the id `after` whose columns equal `matching`; its `fullpath` leads to one."""
    if "fullpath" in matching:
        found = await store.id_of(connection, matching["fullpath"])
        if found is None:
            return []
        matching = {"id": found} | {name: matching[name] for name in matching if name != "fullpath"}
    rows = await store.page(connection, matching, after, limit)
    return [JobQueue.model_validate(row) for row in rows]


async def tree(
    connection: AsyncConnection, root: int | None, entitled: Mapping[int, int]
) -> TreeNode:
    """The queue `root` (None: the root of all) with everything below it.

    `entitled` are agents by the id of a queue, the root by 0, as far as they are known.
    """
    rows = await store.tree(connection, root)
    if root is not None and not rows:
        raise _not_found(root)
    nodes = {row["id"]: _node(row) for row in rows}
    if root is None:
        nodes[None] = _root_node(await store.root_totals(connection))
    for row in rows:
        if row["id"] != root:
            nodes[row["parent_jobqueue_id"]].children.append(nodes[row["id"]])
    for queue_id, node in nodes.items():
        node.entitled_agents = entitled.get(queue_id or 0)
    _add_up(nodes[root])
    return nodes[root]


async def change(
    connection: AsyncConnection, queue_id: int, asked: JobQueueChange, caller: Caller
) -> JobQueue:
    await lock_tree_and_farm(connection)
    stored = await store.get_for_update(connection, queue_id)
    if stored is None:
        raise _not_found(queue_id)
    await must_be_inside(connection, caller, queue_id)
    values = asked.sent()
    values.pop("parent", None)
    if asked.names_a_parent:
        values["parent_jobqueue_id"] = await _parent(connection, asked)
    changed = {name: value for name, value in values.items() if stored[name] != value}
    if "parent_jobqueue_id" in changed:
        must_not_be_bound_to(caller, queue_id, "move")
        await must_be_inside(connection, caller, changed["parent_jobqueue_id"])
    if "name" in changed:
        must_not_be_bound_to(caller, queue_id, "rename")
    _check_limits(stored, values)
    await _check_move(connection, stored, values, _parent_field(asked))
    if changed:
        await _apply(connection, stored, changed, caller)
    return await get(connection, queue_id)


async def remove(connection: AsyncConnection, queue_id: int, caller: Caller) -> None:
    """Delete an empty queue; one that is not there is deleted already."""
    await lock_tree_and_farm(connection)
    stored = await store.get_for_update(connection, queue_id)
    if stored is None:
        return
    await must_be_inside(connection, caller, queue_id)
    must_not_be_bound_to(caller, queue_id, "delete")
    children, children_total = await store.children(connection, queue_id)
    jobs, jobs_total = await store.jobs_in(connection, queue_id)
    if children or jobs:
        queues = _named("queue", [child["name"] for child in children], children_total)
        titles = _named("job", [job["title"] for job in jobs], jobs_total)
        held = " and ".join(filter(None, [queues, titles]))
        raise JobQueueInUse(f"{stored['fullpath']} still has {held}: delete or move them first")
    # A job submitted at this very moment is still refused by its foreign key, or refuses this.
    with refused_as({"fk_jobs_job_queue_id": JobQueueInUse("a job was just submitted into it")}):
        await store.remove(connection, queue_id)
    detail = {"fullpath": stored["fullpath"]}
    await record(connection, caller.actor, "jobqueue.deleted", job_queue_id=queue_id, detail=detail)


async def resolve(
    connection: AsyncConnection, queue_id: int | None, fullpath: str | None, field: str
) -> int | None:
    """The id of the queue that a body names by id or by fullpath; None for the root."""
    if fullpath == ROOT:
        return None
    if fullpath is not None:
        found = await store.id_of(connection, fullpath.rstrip("/"))
        if found is None:
            raise NoSuchQueue(f"there is no queue {fullpath[:200]}", field=field)
        return found
    if queue_id is not None and not await store.existing(connection, [queue_id]):
        raise NoSuchQueue(f"there is no queue with id {queue_id}", field=field)
    return queue_id


async def _parent(
    connection: AsyncConnection, asked: JobQueueCreate | JobQueueChange
) -> int | None:
    return await resolve(connection, asked.parent_jobqueue_id, asked.parent, _parent_field(asked))


def _parent_field(asked: JobQueueCreate | JobQueueChange) -> str:
    return "parent_jobqueue_id" if asked.parent is None else "parent"


async def _apply(
    connection: AsyncConnection, stored: RowMapping, changed: dict[str, Any], caller: Caller
) -> None:
    with refused_as(_taken(changed.get("name", stored["name"]))):
        await store.change(connection, stored["id"], changed)
    if {"name", "parent_jobqueue_id"} & changed.keys():
        await store.repath(connection, stored["id"])
    before = {name: stored[name] for name in changed}
    await record(
        connection,
        caller.actor,
        "jobqueue.changed",
        job_queue_id=stored["id"],
        detail={"from": before, "to": changed},
    )


def _check_limits(stored: RowMapping, values: dict[str, Any]) -> None:
    """A limit that is sent must agree with the other half, which may be stored."""
    both = {name: values.get(name, stored[name]) for name in ("minimum_agents", "maximum_agents")}
    try:
        within(both["minimum_agents"], both["maximum_agents"])
    except ValueError as apart:
        field = "minimum_agents" if "minimum_agents" in values else "maximum_agents"
        raise Invalid(str(apart), field=field) from apart


async def _check_move(
    connection: AsyncConnection, stored: RowMapping, values: dict[str, Any], field: str
) -> None:
    new_parent = values.get("parent_jobqueue_id", stored["parent_jobqueue_id"])
    if new_parent is None or new_parent == stored["parent_jobqueue_id"]:
        return
    above = await store.ancestors(connection, new_parent)
    if stored["id"] in above:
        raise JobQueueCycle(f"{stored['fullpath']} cannot hang under itself or its descendants")
    _check_depth(len(above) + await store.height(connection, stored["id"]), field)


def _check_depth(levels: int, field: str) -> None:
    if levels > MAX_DEPTH:
        raise TooDeep(f"a tree may have at most {MAX_DEPTH} levels", field=field)


def _taken(name: str) -> dict[str, Conflict]:
    refusal = JobQueueNameTaken(f"a queue named {name!r} is already there: choose another name")
    return {"uq_jobqueues_parent_jobqueue_id_name": refusal}


def _named(kind: str, names: list[str], total: int) -> str:
    """2 queues (a, b); at most three by name."""
    if not total:
        return ""
    more = ", …" if total > 3 else ""  # noqa: PLR2004
    return f"{total} {kind}{'s' * (total > 1)} ({', '.join(names[:3])}{more})"


async def _row(connection: AsyncConnection, queue_id: int) -> RowMapping:
    row = await store.get(connection, queue_id)
    if row is None:
        raise _not_found(queue_id)
    return row


def _not_found(queue_id: int) -> JobQueueNotFound:
    return JobQueueNotFound(f"there is no queue with id {queue_id}")


def _node(row: RowMapping) -> TreeNode:
    tasks = TaskTotals(waiting=row["waiting"], running=row["running"])
    return TreeNode(**row, tasks=tasks, children=[])


def _root_node(totals: RowMapping) -> TreeNode:
    return TreeNode(
        id=None,
        name="",
        fullpath=ROOT,
        parent_jobqueue_id=None,
        priority=0,
        weight=0,
        minimum_agents=None,
        maximum_agents=None,
        prefer_running_jobs=False,
        paused=False,
        assigned_agents=totals["assigned_agents"],
        jobs=totals["jobs"],
        tasks=TaskTotals(waiting=totals["waiting"], running=totals["running"]),
        children=[],
    )


def _add_up(node: TreeNode) -> None:
    """Tasks in a node: those directly in it, which it has, and those of its children."""
    for child in node.children:
        _add_up(child)
        node.tasks.waiting += child.tasks.waiting
        node.tasks.running += child.tasks.running
