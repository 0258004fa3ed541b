"""An independent judge of who works on what: the rules word for word, and nothing clever.

It shares no code with the policy. Queues, jobs, tasks and agents are plain dictionaries; whatever
can be counted is counted anew each time it is asked for.
"""

from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

Row = dict[str, Any]
Pick = tuple[int, list[int]] | None  # a job's id, and the ordinals of its tasks

NODE: Row = {
    "priority": 0,
    "weight": 10,
    "minimum_agents": None,
    "maximum_agents": None,
    "paused": False,
}
QUEUE: Row = NODE | {"parent": None, "prefer_running_jobs": False}
JOB: Row = NODE | {
    "queue": None,
    "by": 1,
    "num_tiles": 1,
    "batch": 1,
    "batch_contiguous": True,
    "requeue": 3,
    "cpus": 1,
    "ram": 32,
    "required_tags": [],
    "excluded_tags": [],
    "parents": [],
}


class BruteForce:
    """A farm; queues and jobs go by their ids, which count from 1 in the order of the lists."""

    def __init__(self, queues: list[Row], jobs: list[Row], agents: list[Row]) -> None:
        self.queues: dict[int, Row] = {}
        self.jobs: dict[int, Row] = {}
        self.agents: dict[str, Row] = {}
        paths: dict[str | None, int | None] = {None: None}
        titles: dict[str, int] = {}
        for number, given in zip(count(1), queues, strict=False):
            queue: Row = QUEUE | given
            paths[(queue["parent"] or "") + "/" + queue["name"]] = number
            self.queues[number] = queue | {
                "kind": "queue",
                "id": number,
                "parent": paths[queue["parent"]],
            }
        for number, given in zip(count(1), jobs, strict=False):
            job: Row = JOB | given
            titles[job["title"]] = number
            self.jobs[number] = job | {
                "kind": "job",
                "id": number,
                "parent": paths[job["queue"]],
                "parents": [titles[title] for title in job["parents"]],
                "tasks": tasks_of(job),
            }
        for agent in agents:
            self.agents[agent["hostname"]] = agent | {
                "free_ram": agent["ram"],
                "online": True,
                "job": None,
                "tasks": [],
            }

    # --- terms ---

    def children(self, queue: Row | None) -> list[Row]:
        """Of a queue, or of the root."""
        number = None if queue is None else queue["id"]
        return [n for n in [*self.queues.values(), *self.jobs.values()] if n["parent"] == number]

    def ancestors(self, node: Row) -> list[Row]:
        if node["parent"] is None:
            return []
        parent = self.queues[node["parent"]]
        return [parent, *self.ancestors(parent)]

    def assigned(self, node: Row) -> int:
        holders = [agent for agent in self.agents.values() if agent["job"] is not None]
        jobs = [self.jobs[agent["job"]] for agent in holders]
        return len([job for job in jobs if node is job or node in self.ancestors(job)])

    def is_full(self, node: Row) -> bool:
        return node["maximum_agents"] is not None and self.assigned(node) >= node["maximum_agents"]

    def is_below_minimum(self, node: Row) -> bool:
        return node["minimum_agents"] is not None and self.assigned(node) < node["minimum_agents"]

    def is_open(self, node: Row, agent: Row) -> bool:
        if node["paused"] or self.is_full(node):
            return False
        if node["kind"] == "queue":
            return any(self.is_open(child, agent) for child in self.children(node))
        parents = [self.jobs[number] for number in node["parents"]]
        return (
            self.state(node) != "done"
            and all(self.state(parent) == "done" for parent in parents)
            and meets(agent, node)
            and bool(self.tasks_for(node, agent))
        )

    def is_owed(self, node: Row, agent: Row) -> bool:
        if not self.is_open(node, agent):
            return False
        if self.is_below_minimum(node):
            return True
        return node["kind"] == "queue" and any(
            self.is_owed(child, agent) for child in self.children(node)
        )

    # --- the walk ---

    def pick(self, hostname: str) -> Pick:
        """What the agent, which holds nothing, should get now."""
        agent = self.agents[hostname]
        here = None
        while True:
            candidates = [
                node
                for node in self.children(here)
                if self.is_open(node, agent) and self.on_the_way(node, agent)
            ]
            if not candidates:
                return None
            owed = [node for node in candidates if self.is_owed(node, agent)]
            chosen = self.first(owed or candidates, here)
            if chosen["kind"] == "job":
                return chosen["id"], self.batch(chosen, agent)
            here = chosen

    def on_the_way(self, node: Row, agent: Row) -> bool:
        """To the queue that the agent is bound to, that queue itself, or below it."""
        bound = agent.get("within")
        if bound is None:
            return True
        queue = self.queues.get(bound)
        if queue is None:
            return False
        way = [queue, *self.ancestors(queue)]
        return node in way or queue in self.ancestors(node)

    def first(self, candidates: list[Row], queue: Row | None) -> Row:
        """Rule after rule, those that may still be the one."""
        highest = max(node["priority"] for node in candidates)
        left = [node for node in candidates if node["priority"] == highest]
        if queue is not None and queue["prefer_running_jobs"]:
            begun = [n for n in left if n["kind"] == "queue" or self.assigned(n) > 0]
            if not begun:
                return min(left, key=lambda node: int(node["id"]))
            left = begun
        weighty = [node for node in left if node["weight"] > 0]
        if weighty:
            share = {id(n): Fraction(self.assigned(n), n["weight"]) for n in weighty}
        else:
            share = {id(n): Fraction(self.assigned(n)) for n in left}
        least = min(share.values())
        left = [node for node in left if share.get(id(node)) == least]
        heaviest = max(node["weight"] for node in left)
        left = [node for node in left if node["weight"] == heaviest]
        jobs = [node for node in left if node["kind"] == "job"]
        return min(jobs or left, key=lambda node: int(node["id"]))

    def tasks_for(self, job: Row, agent: Row) -> list[Row]:
        """Those that wait and that the agent may take, by frame, then tile."""
        waiting = [task for task in job["tasks"] if task["state"] == "waiting"]
        mine = [task for task in waiting if self.may_take(task, job, agent)]
        return sorted(mine, key=lambda task: (task["frame"], task["tile"]))

    def may_take(self, task: Row, job: Row, agent: Row) -> bool:
        if agent["hostname"] not in task["failed_by"]:
            return True
        others = [
            a
            for a in self.agents.values()
            if a["online"] and meets(a, job) and self.on_the_way(job, a)
        ]
        return all(other["hostname"] in task["failed_by"] for other in others)

    def batch(self, job: Row, agent: Row) -> list[int]:
        chosen: list[Row] = []
        for task in self.tasks_for(job, agent):
            if len(chosen) == job["batch"]:
                break
            if chosen and job["batch_contiguous"]:
                last = chosen[-1]["frame"]
                if task["frame"] != last and task["frame"] != last + job["by"]:
                    break
            chosen.append(task)
        return [task["ordinal"] for task in chosen]

    def state(self, job: Row) -> str:
        states = [task["state"] for task in job["tasks"]]
        if all(state == "done" for state in states):
            return "done"
        if "waiting" not in states and "running" not in states:
            return "failed"
        if self.assigned(job) > 0:
            return "running"
        return "paused" if job["paused"] else "queued"

    # --- what happens ---

    def take(self, hostname: str, pick: Pick) -> None:
        """Give the agent an assignment; no task is handed out that does not wait."""
        if pick is None:
            return
        agent = self.agents[hostname]
        assert agent["job"] is None, "a second assignment"
        agent["job"] = pick[0]
        for ordinal in pick[1]:
            task = self.jobs[pick[0]]["tasks"][ordinal]
            assert task["state"] == "waiting", "handed out twice"
            task["state"] = "running"
            agent["tasks"].append(task)

    def report(self, hostname: str, results: list[bool]) -> None:
        """The next tasks that the agent holds succeeded or failed; too many results are ignored."""
        agent = self.agents[hostname]
        for succeeded in results[: len(agent["tasks"])]:
            task = agent["tasks"].pop(0)
            if succeeded:
                task["state"] = "done"
            else:
                requeue = self.jobs[agent["job"]]["requeue"]
                task["failures"] += 1
                task["failed_by"].append(hostname)
                again = requeue == -1 or task["failures"] <= requeue
                task["state"] = "waiting" if again else "failed"
        if not agent["tasks"]:
            agent["job"] = None

    def finish(self, hostname: str) -> None:
        self.report(hostname, [True] * len(self.agents[hostname]["tasks"]))

    def release(self, hostname: str) -> None:
        agent = self.agents[hostname]
        for task in agent["tasks"]:
            task["state"] = "waiting"
        agent["job"], agent["tasks"] = None, []

    def leave(self, hostname: str) -> None:
        self.release(hostname)
        self.agents[hostname]["online"] = False

    def change_queue(self, number: int, changes: Row) -> None:
        self.queues[number].update(changes)

    def change_job(self, number: int, changes: Row) -> None:
        self.jobs[number].update(changes)

    def change_agent(self, hostname: str, changes: Row) -> None:
        self.agents[hostname].update(changes)


def meets(agent: Row, job: Row) -> bool:
    return (
        job["cpus"] <= agent["cpus"]
        and job["ram"] <= agent["free_ram"]
        and all(tag in agent["tags"] for tag in job["required_tags"])
        and not any(tag in agent["tags"] for tag in job["excluded_tags"])
    )


def tasks_of(job: Row) -> list[Row]:
    """All waiting; ordinals count in order of frame, then tile."""
    frames = expanded(job.get("frames") or f"1-{job['tasks']}")
    places = [(frame, tile) for frame in frames for tile in range(job["num_tiles"])]
    return [
        {
            "ordinal": ordinal,
            "frame": frame,
            "tile": tile,
            "state": "waiting",
            "failures": 0,
            "failed_by": [],
        }
        for ordinal, (frame, tile) in enumerate(places)
    ]


def expanded(frames: str) -> list[Decimal]:
    """ "1-10x2,20" as its distinct frames in ascending order, step by step (none is negative)."""
    found: set[Decimal] = set()
    for part in frames.split(","):
        ends, _, by = part.partition("x")
        start, _, end = ends.partition("-")
        frame = Decimal(start)
        while frame <= Decimal(end or start):
            found.add(frame)
            frame += Decimal(by or 1)
    return sorted(found)
