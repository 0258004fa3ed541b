"""A plan is made of a file and of the farm as one snapshot shows it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import asyncpg

from app.errors import Invalid
from app.plan import farm_store
from app.plan.file import Described, wrong
from app.plan.schemas import BeforeAndAfter, Blocked, Plan, QueueEdit, Shift
from app.plan.shares import Work, shares_of, work_of
from app.policy.difference import Changed, Deleted, Difference, Made, applied, difference
from app.policy.matching import Part, Stored, Wrong, paths
from app.ranges import MAX_DEPTH
from app.scheduler.store import queues as all_queues

SETTINGS = (
    *("priority", "weight", "minimum_agents", "maximum_agents"),
    *("prefer_running_jobs", "paused"),
)
UNLISTED_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked beside the file. `agents`: share out so many; None: those that are online."""

    delete: bool = False
    shares: bool = True
    agents: int | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """What carries a plan out: rows as JSON, where an id below zero is a new queue's.

    `digest` is the farm's for which all of it is right.
    """

    root: int | None
    digest: str
    fingerprint: str
    made: int
    parked: list[int]
    deleted: list[int]
    creates: str
    changes: str
    events: str
    refusal: str | None


async def make(
    connection: asyncpg.Connection, file: Described, asked: Asked
) -> tuple[Plan, Orders]:
    """In a transaction that reads from one snapshot. Raises `Invalid` with each place."""
    rows = await all_queues(connection)
    part = _part(rows, file.root)
    digest = await farm_store.planned_digest(connection, part.root)
    try:
        found = difference(part, file.wanted, delete=asked.delete)
    except Wrong as places:
        raise wrong([*places.places]) from places
    blocked = await _blocked(connection, found.deleted)
    work = await work_of(connection) if asked.shares else None
    fingerprint = _fingerprint(digest, file, asked)
    agents = None if work is None else work.agents if asked.agents is None else asked.agents
    plan = Plan(
        fingerprint=fingerprint,
        root=file.root or "/",
        changes=[*map(_edit, found.edits), *map(_deletion, found.deleted)],
        blocked=blocked,
        unlisted=list(found.unlisted[:UNLISTED_SHOWN]),
        unlisted_total=len(found.unlisted),
        agents=agents,
        entitled=None
        if work is None or agents is None
        else _shifts(rows, part, found, work, agents),
    )
    return plan, _orders(part, found, digest, plan)


def _part(rows: Sequence[Mapping[str, Any]], root: str) -> Part:
    """The queues below the path, of all of them."""
    at: int | None = None
    children: dict[int | None, list[Mapping[str, Any]]] = {}
    for row in rows:
        children.setdefault(row["parent_jobqueue_id"], []).append(row)
    names = root.split("/")[1:]
    for name in names:
        below = [row["id"] for row in children.get(at, ()) if row["name"] == name]
        if not below:
            raise Invalid(f"there is no queue {root[:200]}: create it first", field="root")
        at = below[0]
    stored: list[Stored] = []
    rest = [at]
    while rest:
        for row in children.get(rest.pop(), ()):
            rest.append(row["id"])
            settings = {name: row[name] for name in SETTINGS}
            stored.append(Stored(row["id"], row["parent_jobqueue_id"], row["name"], settings))
    return Part(stored, MAX_DEPTH - len(names), at, root)


async def _blocked(connection: asyncpg.Connection, deleted: Sequence[Deleted]) -> list[Blocked]:
    jobs = await farm_store.jobs_in(connection, [one.queue.id for one in deleted])
    return [
        Blocked(
            path=one.path,
            id=one.queue.id,
            jobs=jobs[one.queue.id],
            detail=(
                f"{one.path} still has {jobs[one.queue.id]} jobs: delete or move them first, or,"
                f" where the queue was renamed, say so in the file: moved_from: {one.path}"
            ),
        )
        for one in deleted
        if one.queue.id in jobs
    ]


def _fingerprint(digest: str, file: Described, asked: Asked) -> str:
    said = [(one.path, dict(one.settings), one.id, one.moved_from) for one in file.wanted]
    told = json.dumps([digest, file.root, said, asked.delete], sort_keys=True)
    return sha256(told.encode()).hexdigest()[:32]


def _edit(edit: Made | Changed) -> QueueEdit:
    if isinstance(edit, Made):
        fields = {name: (None, value) for name, value in edit.queue.settings.items()}
        return _told("create", edit.path, None, None, fields)
    action = "move" if edit.moves else "change"
    was = edit.was if edit.moves else None
    return _told(action, edit.path, edit.before.id, was, edit.settings)


def _deletion(deleted: Deleted) -> QueueEdit:
    return _told("delete", deleted.path, deleted.queue.id, None, {})


def _told(
    action: Any, path: str, queue_id: int | None, was: str | None, fields: dict[str, Any]
) -> QueueEdit:
    both = {name: BeforeAndAfter(before=old, after=new) for name, (old, new) in fields.items()}
    return QueueEdit(action=action, path=path, id=queue_id, moved_from=was, fields=both)


def _shifts(
    rows: Sequence[Mapping[str, Any]], part: Part, found: Difference, work: Work, agents: int
) -> list[Shift]:
    """Queues whose share changes, of those that were or will be."""
    if not found:
        return []
    after = applied(part.stored, found)
    before_paths, after_paths = paths(part, part.stored), paths(part, after)
    outside = [row for row in rows if row["id"] not in before_paths]
    before = shares_of(rows, work, agents)
    then = shares_of([*outside, *map(_row, after)], work, agents)
    return [
        Shift(
            path=path,
            id=queue_id if queue_id > 0 else None,
            assigned_agents=before.assigned.get(queue_id, 0),
            before=before.entitled.get(queue_id, 0),
            after=then.entitled.get(queue_id, 0),
        )
        for queue_id, path in sorted((before_paths | after_paths).items(), key=lambda one: one[1])
        if before.entitled.get(queue_id, 0) != then.entitled.get(queue_id, 0)
    ]


def _row(one: Stored) -> dict[str, Any]:
    return {"id": one.id, "parent_jobqueue_id": one.parent, "name": one.name, **one.settings}


def _orders(part: Part, found: Difference, digest: str, plan: Plan) -> Orders:
    made = [edit for edit in found.edits if isinstance(edit, Made)]
    changed = [edit for edit in found.edits if isinstance(edit, Changed)]
    deleted = [one.queue.id for one in found.deleted]
    details = [one.detail for one in plan.blocked]
    return Orders(
        root=part.root,
        digest=digest,
        fingerprint=plan.fingerprint,
        made=len(made),
        parked=[*(edit.before.id for edit in changed if edit.moves), *deleted],
        deleted=deleted,
        creates=_json(_columns(edit.path, edit.queue) for edit in made),
        changes=_json(_columns(edit.path, edit.after) for edit in changed),
        events=_json(_events(found)),
        refusal="; ".join(details[:3]) + "; …" * (len(details) > 3) if details else None,  # noqa: PLR2004
    )


def _columns(path: str, queue: Stored) -> dict[str, Any]:
    place = {"id": queue.id, "parent": queue.parent, "name": queue.name, "fullpath": path}
    return place | dict(queue.settings)


def _events(found: Difference) -> Iterator[dict[str, Any]]:
    """What the history is told, as it is of single edits; each queue after the one above it."""
    for edit in found.edits:
        if isinstance(edit, Made):
            detail = {"name": edit.queue.name, "parent_jobqueue_id": edit.queue.parent}
            yield _event("jobqueue.created", edit.queue, "{parent_jobqueue_id}",
                         {**detail, **edit.queue.settings})  # fmt: skip
        else:
            yield _event("jobqueue.changed", edit.after, "{to,parent_jobqueue_id}", _both(edit))
    for one in found.deleted:
        yield _event("jobqueue.deleted", one.queue, "{}", {"fullpath": one.path})


def _both(edit: Changed) -> dict[str, Any]:
    values = dict(edit.settings)
    if edit.before.name != edit.after.name:
        values["name"] = (edit.before.name, edit.after.name)
    if edit.before.parent != edit.after.parent:
        values["parent_jobqueue_id"] = (edit.before.parent, edit.after.parent)
    return {
        "from": {name: old for name, (old, _) in values.items()},
        "to": {name: new for name, (_, new) in values.items()},
    }


def _event(action: str, queue: Stored, place: str, detail: dict[str, Any]) -> dict[str, Any]:
    """`place`: where the detail has the parent, for one that has no id yet."""
    parent = queue.parent if action != "jobqueue.deleted" else None
    return {
        "action": action, "id": queue.id, "parent": parent, "place": place, "detail": detail,
    }  # fmt: skip


def _json(rows: Iterator[dict[str, Any]] | Any) -> str:
    return json.dumps(list(rows))
