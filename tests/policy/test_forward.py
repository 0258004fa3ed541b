"""The farm played forward is the farm: whoever is free gets what the rules say."""

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.farm import Farm
from app.policy.follow import following
from app.policy.forward import Forward, Progress
from app.policy.pick import assign
from app.policy.tree import Job, Queue, path
from tests.policy.brute_force import BruteForce
from tests.policy.build import agent, farm, job, queue
from tests.policy.rows import Row, Rows, uuid_of

Given = tuple[float, int, tuple[int, ...]]  # when, the job's id, its ordinals

limits = st.none() | st.integers(0, 4)
NODE: dict[str, Any] = {
    "priority": st.integers(-1, 1),
    "weight": st.sampled_from([0, 1, 2, 10]),
    "minimum_agents": limits,
    "maximum_agents": limits,
    "paused": st.sampled_from([False, False, False, True]),
}
TAGS = st.sampled_from([[], [], ["gpu"]])


@st.composite
def farms(draw: st.DrawFn) -> tuple[list[Row], list[Row], list[Row]]:
    def node() -> Row:
        row = {name: draw(of) for name, of in NODE.items()}
        if None not in (row["minimum_agents"], row["maximum_agents"]):
            row["minimum_agents"] = min(row["minimum_agents"], row["maximum_agents"])
        return row

    paths: list[str | None] = [None]
    queues = []
    for number in range(draw(st.integers(0, 4))):
        parent = draw(st.sampled_from(paths))
        paths.append(f"{parent or ''}/q{number}")
        prefers = draw(st.booleans())
        queues.append(node() | {"name": f"q{number}", "parent": parent} | {
            "prefer_running_jobs": prefers
        })  # fmt: skip
    jobs = [
        node()
        | {
            "title": f"j{number}",
            "queue": draw(st.sampled_from(paths)),
            "tasks": draw(st.integers(1, 7)),
            "batch": draw(st.integers(1, 3)),
            "required_tags": draw(TAGS),
            "parents": [f"j{draw(st.integers(0, number - 1))}"]
            if number and draw(st.integers(0, 3)) == 0
            else [],
        }
        for number in range(draw(st.integers(1, 5)))
    ]
    agents = [
        {
            "hostname": f"a{number}",
            "cpus": 4,
            "ram": 1_000,
            "tags": draw(TAGS),
            "within": draw(st.none() | st.none() | st.integers(1, max(len(queues), 1))),
        }
        for number in range(draw(st.integers(1, 5)))
    ]
    hostnames = st.lists(st.sampled_from([one["hostname"] for one in agents]), unique=True)
    for row in jobs:
        all_of_it = draw(hostnames)
        others = draw(st.dictionaries(st.integers(0, row["tasks"] - 1), hostnames, max_size=2))
        row["failed_by"] = dict.fromkeys(range(row["tasks"]), all_of_it) | others
    return queues, jobs, agents


def seconds_of(job_id: int, ordinals: Sequence[int]) -> float:
    """Of any two assignments different ones, so that no two end at the same moment."""
    return 10 + job_id * 0.7013 + ordinals[0] * 1.3007 + len(ordinals) * 3.0011


def played(
    lists: tuple[list[Row], list[Row], list[Row]], steps: Sequence[float] = ()
) -> tuple[Forward, list[Given]]:
    """The whole of it, with what was given out, in turn."""
    rows = Rows(*lists)
    for one in rows.jobs.values():
        one.failed_by = {
            ordinal: frozenset(map(uuid_of, hostnames))
            for ordinal, hostnames in one.settings["failed_by"].items()
            if hostnames
        }
    tree = rows.farm()
    jobs = {node.id: node for node in below(tree.root) if isinstance(node, Job)}
    progress = {job: Progress(waits_for=len(rows.jobs[n].settings["parents"]))
                for n, job in jobs.items()}  # fmt: skip
    for number, child in jobs.items():
        for parent in rows.jobs[number].settings["parents"]:
            progress[jobs[parent]].children.append(child)
    given_out: list[Given] = []

    def seconds(of: Job, ordinals: Sequence[int]) -> float:
        given_out.append((forward.now, of.id, tuple(ordinals)))
        for node in path(of):
            assert node.maximum is None or node.assigned <= node.maximum
        return seconds_of(of.id, ordinals)

    forward = Forward(tree, progress, seconds, 1_000_000)
    for hostname in rows.agents:
        forward.idle(rows.agent(hostname))
    forward.begin()
    for until in (*steps, 1_000_000):
        forward.run(until)
    return forward, given_out


def below(at: Queue) -> Iterator[Queue | Job]:
    for child in at.children:
        yield child
        if isinstance(child, Queue):
            yield from below(child)


def judged(lists: tuple[list[Row], list[Row], list[Row]]) -> list[Given]:
    """What is given out, where each agent that is free asks the brute force."""
    judge = BruteForce(*lists)
    for one in judge.jobs.values():
        for ordinal, hostnames in one["failed_by"].items():
            one["tasks"][ordinal]["failed_by"] += hostnames
    idle = deque(judge.agents)
    ends: list[tuple[float, str]] = []
    given_out: list[Given] = []

    def ask_all(now: float) -> None:
        for hostname in [idle.popleft() for _ in range(len(idle))]:
            pick = judge.pick(hostname)
            judge.take(hostname, pick)
            if pick is None:
                idle.append(hostname)
            else:
                given_out.append((now, pick[0], tuple(pick[1])))
                heappush(ends, (now + seconds_of(*pick), hostname))

    ask_all(0.0)
    while ends:
        now, hostname = heappop(ends)
        judge.finish(hostname)
        idle.append(hostname)
        ask_all(now)
    return given_out


@settings(max_examples=80, deadline=None)
@given(lists=farms())
def test_agents_get_what_the_brute_force_gives_them_to_the_end(
    lists: tuple[list[Row], list[Row], list[Row]],
) -> None:
    assert played(lists)[1] == judged(lists)


@settings(max_examples=50, deadline=None)
@given(lists=farms(), steps=st.lists(st.floats(0, 200), max_size=9).map(sorted))
def test_steps_lead_where_one_run_does(
    lists: tuple[list[Row], list[Row], list[Row]], steps: list[float]
) -> None:
    assert played(lists, steps)[1] == played(lists)[1]


@settings(max_examples=50, deadline=None)
@given(lists=farms())
def test_every_task_is_given_out_once_and_all_work_is_counted(
    lists: tuple[list[Row], list[Row], list[Row]],
) -> None:
    forward, given_out = played(lists)
    tasks = [(job_id, ordinal) for _, job_id, ordinals in given_out for ordinal in ordinals]
    assert len(tasks) == len(set(tasks))
    worked = sum(one.agent_seconds for one in forward.progress.values())
    assert abs(worked - sum(seconds_of(*one[1:]) for one in given_out)) < 0.001
    for at, progress in forward.progress.items():
        done = sum(job_id == at.id for job_id, _ in tasks)
        total = len(at.waiting) + done
        assert (progress.finished_at is not None) == (done == total and at.assigned == 0)


def mixed() -> Farm:
    """Queues and jobs with all that decides whose turn it is."""
    ids = count(1)

    def some(**more: Any) -> Job:
        number = next(ids)
        return job(number, frames=f"1-{5 + number % 7 * 9}", **more)

    return farm(
        queue(101, some(weight=3), some(maximum=3), queue(111, some(), some(minimum=2)), weight=30),
        queue(102, some(), queue(112, some(weight=0), some()), maximum=9, minimum=4),
        queue(103, some(priority=1), some(), prefer_running_jobs=True),
        some(weight=1),
    )


@settings(max_examples=60, deadline=None)
@given(turns=st.lists(st.integers(0, 10_000), min_size=40, max_size=160))
def test_the_short_way_to_the_next_job_leads_where_the_long_one_does(turns: list[int]) -> None:
    """And every node stands afterwards as it does after the long one."""
    long, short = mixed(), mixed()
    anyone = agent()
    held: list[tuple[Job, Job]] = []
    for _ in range(20):
        first, second = assign(long, anyone), assign(short, anyone)
        assert first is not None
        assert second is not None
        held.append((first[0], second[0]))
    taken = 0
    for turn in turns:
        if not held:
            break
        left, left_short = held.pop(turn % len(held))
        long.count(left, -1)
        work = assign(long, anyone)
        follows = following(short, left_short, short.kinds.met_by(anyone))
        if follows is None:
            short.count(left_short, -1)
            other = assign(short, anyone)
            found = other[0] if other else None
        else:
            taken += 1
            found, common = follows
            found.waiting.pop()
            short.exchange(left_short, found, common)
            short.settle(found)
        assert (work and work[0].id) == (found and found.id)
        if work and found:
            held.append((work[0], found))
        assert looks(long) == looks(short)
    assert taken


def looks(of: Farm) -> dict[int, Any]:
    return {one.id: (one.assigned, one.key, one.standing) for one in below(of.root)}


def test_a_farm_that_is_busy_goes_the_short_way() -> None:
    tree = farm(queue(1, job(11), job(12)), queue(2, job(21), weight=20), job(3))
    anyone = agent()
    held = [work[0] for _ in range(10) if (work := assign(tree, anyone))]
    met = tree.kinds.met_by(anyone)
    assert [following(tree, one, met) for one in held] == [(one, one.parent) for one in held]


def test_time_below_a_minimum_counts_while_work_is_open() -> None:
    first = job(1, frames="1-1", priority=5)
    owed = job(2, frames="1-2", minimum=2)
    tree = farm(first, owed)
    progress = {one: Progress() for one in (first, owed)}
    forward = Forward(tree, progress, lambda *_: 10.0, 100.0)
    forward.idle(agent())
    forward.begin()
    forward.run(100.0)
    # One agent: two tasks of what is owed come first, the last of them with nothing left to wait.
    assert progress[owed].finished_at == 20.0
    assert progress[first].next_at == 20.0
    assert progress[first].ahead == 2
    assert forward.shortages[owed].until(100.0) == 10.0


def test_a_job_that_comes_later_wakes_those_that_are_idle() -> None:
    later = job(1, frames="1-3")
    tree = farm()
    forward = Forward(tree, {later: Progress()}, lambda *_: 10.0, 100.0)
    for number in (1, 2):
        forward.idle(agent(number))
    forward.comes(30.0, later, tree.root)
    forward.begin()
    forward.run(100.0)
    told = forward.progress[later]
    assert (told.next_at, told.finished_at, told.agent_seconds) == (30.0, 50.0, 30.0)
    assert forward.peaks[later] == 2


def test_an_agent_that_failed_what_is_open_works_on_what_opens_later() -> None:
    first, second = agent(1), agent(2)
    failed = job(1, frames="1-1", failed_by={0: frozenset([first.id])}, priority=-1)
    before = job(2, frames="1-1")
    before.waiting.pop()
    after = job(3, frames="1-100", parents_done=False)
    tree = farm(failed, before, after, online=(first, second))
    tree.count(before, 1)
    progress = {failed: Progress(), before: Progress(children=[after]), after: Progress(1)}
    forward = Forward(tree, progress, lambda *_: 60.0, 100_000)
    forward.works(second, before, 600.0)
    forward.idle(first)
    forward.begin()
    forward.run(100_000)
    assert progress[after].finished_at == 600 + 50 * 60
    assert forward.peaks[after] == 2
    assert progress[failed].finished_at == 600 + 51 * 60


def test_an_agent_that_leaves_finishes_what_it_has_and_gets_nothing_more() -> None:
    work = job(1, frames="1-3")
    work.waiting.pop()
    tree = farm(work)
    tree.count(work, 1)
    forward = Forward(tree, {work: Progress()}, lambda *_: 10.0, 100.0)
    forward.works(agent(), work, 5.0, leaves=True)
    forward.begin()
    forward.run(100.0)
    assert (work.assigned, len(work.waiting), forward.working) == (0, 2, 0)


def test_children_of_a_job_that_cannot_be_done_never_run() -> None:
    parent, child = job(1, frames="1-1"), job(2, frames="1-1", parents_done=False)
    tree = farm(parent, child)
    progress = {parent: Progress(failed=True, children=[child]), child: Progress(waits_for=1)}
    forward = Forward(tree, progress, lambda *_: 10.0, 100.0)
    forward.idle(agent())
    forward.begin()
    forward.run(100.0)
    assert progress[parent].finished_at == 10.0
    assert progress[child].next_at is None
