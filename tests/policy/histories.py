"""Random farms, small and full of ties, and what may happen on them (hypothesis strategies).

Drawing costs far more than playing, so that whole rows are drawn from lists of all combinations,
made once. In each list a value that stands more than once comes more often; the first is plainest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import strategies as st

from tests.policy.brute_force import BruteForce, Pick, Row
from tests.policy.farm_sim import Arrange, FarmSim

Event = tuple[Any, ...]


@dataclass(frozen=True)
class History:
    """A farm's queues, jobs and agents as a scenario lists them, and the events on it."""

    queues: list[Row]
    jobs: list[Row]
    agents: list[Row]
    events: list[Event]


@dataclass(frozen=True)
class Decision:
    """An idle agent asked: the farm as it was just then, and what the policy gave it."""

    farm: BruteForce
    hostname: str
    pick: Pick

    @property
    def agent(self) -> Row:
        return self.farm.agents[self.hostname]

    @property
    def path(self) -> list[Row]:
        """The job picked and the queues above it, the top one last; empty for no pick."""
        if self.pick is None:
            return []
        job = self.farm.jobs[self.pick[0]]
        return [job, *self.farm.ancestors(job)]


def decisions(history: History, arrange: Arrange = lambda nodes: nodes) -> Iterator[Decision]:
    """Play the history on the policy, and the same on the judge's books."""
    lists = history.queues, history.jobs, history.agents
    policy, books = FarmSim(*lists), BruteForce(*lists)
    for name, *arguments in history.events:
        if name == "poll":
            yield from _cycle(policy, books, arguments[0], arrange)
        else:
            getattr(policy, name)(*arguments)
            getattr(books, name)(*arguments)
        assert {n: policy.state(n) for n in policy.jobs} == {
            n: books.state(job) for n, job in books.jobs.items()
        }


def _cycle(
    policy: FarmSim, books: BruteForce, hostnames: list[str], arrange: Arrange
) -> Iterator[Decision]:
    asking = [h for h in hostnames if books.agents[h]["online"]]
    for hostname, pick in zip(asking, policy.poll(*asking, arrange=arrange), strict=True):
        if books.agents[hostname]["job"] is None:
            yield Decision(books, hostname, pick)
            books.take(hostname, pick)


# --- farms ---


def every(**choices: list[Any]) -> list[Row]:
    """Each combination of the values, one of each key."""
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


a_node = st.sampled_from(
    [
        node
        for node in every(
            priority=[0, 0, 1, -1],
            weight=[10, 10, 1, 2, 3, 0, 0],
            minimum_agents=[None, None, None, 0, 1, 2],
            maximum_agents=[None, None, None, 4, 2, 1, 0],
            paused=[False] * 7 + [True],
        )
        if None in (node["minimum_agents"], node["maximum_agents"])
        or node["minimum_agents"] <= node["maximum_agents"]
    ]
)
some_work = st.sampled_from(
    every(
        frames=["1-12", "1-9x2", "1-2,5-7", "1-9x4,10", "1-2"],
        by=[1, 1, 2],
        num_tiles=[1, 1, 2],
        batch=[1, 1, 2, 3],
        batch_contiguous=[True, False],
    )
)
some_needs = st.sampled_from(
    every(
        requeue=[3, 0, 1, -1],
        cpus=[1, 1, 1, 4],
        ram=[32, 32, 64],
        required_tags=[[], [], [], ["gpu"], ["gpu", "laptop"]],
        excluded_tags=[[], [], [], ["laptop"]],
    )
)
an_agent = st.sampled_from(
    every(cpus=[4, 4, 1], ram=[64, 64, 32], tags=[[], ["gpu"], ["laptop"], ["gpu", "laptop"]])
)
a_number = st.integers(0, 59)  # of a thing of which there are 1 to 6: 60 is a multiple of all


@st.composite
def lists_of_queues(draw: st.DrawFn) -> list[Row]:
    made: list[Row] = []
    paths: list[str | None] = [None]
    for number in range(draw(st.integers(1, 5))):
        parent = paths[draw(a_number) % len(paths)]
        named = {"name": f"q{number}", "parent": parent, "prefer_running_jobs": draw(st.booleans())}
        made.append(draw(a_node) | named)
        paths.append(f"{parent or ''}/q{number}")
    return made


@st.composite
def lists_of_jobs(draw: st.DrawFn, fullpaths: list[str]) -> list[Row]:
    """Every third waits for the one before it, which is short."""
    made: list[Row] = []
    queues = [None, *fullpaths]
    for number in range(draw(st.integers(3, 6))):
        queue = queues[draw(a_number) % len(queues)]
        parents = [f"j{number - 1}"] if number % 3 == 2 else []
        placed = {"title": f"j{number}", "queue": queue, "parents": parents}
        length = {"frames": "1-2"} if number % 3 == 1 else {}
        made.append(draw(a_node) | draw(some_work) | draw(some_needs) | length | placed)
    return made


# --- histories ---

of_an_agent = st.sampled_from(
    [
        *[("poll",)] * 3,
        *[("finish",)] * 4,
        *[("report", results) for results in ([False] * 3, [False] * 3, [False], [True, False])],
        ("release",),
        ("leave",),
        *[("change_agent", {"online": True})] * 3,
        *[("change_agent", {"free_ram": ram}) for ram in (32, 64)],
        *[("change_agent", {"tags": tags}) for tags in (list[str](), ["gpu"])],
    ]
)
raw_events = st.one_of(
    st.tuples(st.just("round"), a_number, st.sampled_from(["finish", "finish", "report"])),
    st.tuples(st.just("poll"), a_number),
    st.tuples(st.just("agent"), a_number, of_an_agent),
    st.tuples(st.just("agent"), a_number, of_an_agent),
    st.tuples(st.sampled_from(["change_job", "change_queue"]), a_number, a_node),
    st.tuples(st.sampled_from(["move_job", "move_queue"]), a_number, a_number),
)
lists_of_raw_events = st.lists(raw_events, min_size=8, max_size=40)


@st.composite
def histories(draw: st.DrawFn) -> History:
    queues = draw(lists_of_queues())
    jobs = draw(lists_of_jobs([f"{q['parent'] or ''}/{q['name']}" for q in queues]))
    agents = [
        {"hostname": f"a{number}"} | agent
        for number, agent in enumerate(draw(st.lists(an_agent, min_size=3, max_size=6)))
    ]
    hostnames = [agent["hostname"] for agent in agents]
    events: list[Event] = [("poll", hostnames)]
    for raw in draw(lists_of_raw_events):
        if raw[0] in ("round", "poll", "agent"):
            events += events_of_agents(raw, hostnames)
        else:
            events.append(change(raw, len(queues), len(jobs)))
    return History(queues, jobs, agents, events)


def events_of_agents(raw: Event, hostnames: list[str]) -> list[Event]:
    first = raw[1] % len(hostnames)
    in_turn = hostnames[first:] + hostnames[:first]
    match raw:
        case "round", _, "finish":  # everyone succeeds with all, and asks again
            return [*[("finish", hostname) for hostname in in_turn], ("poll", in_turn)]
        case "round", _, "report":  # everyone fails with all
            return [*[("report", hostname, [False] * 3) for hostname in in_turn], ("poll", in_turn)]
        case "agent", _, (name, *details) if name != "poll":
            return [(name, in_turn[0], *details)]
    return [("poll", in_turn if raw[0] == "poll" else in_turn[:1])]


def change(raw: Event, queues: int, jobs: int) -> Event:
    """Of the settings of a queue or a job, or of its place in the tree."""
    name, number, to = raw
    job, queue = number % jobs + 1, number % queues + 1
    match name:
        case "change_job":
            return "change_job", job, to
        case "change_queue":
            return "change_queue", queue, to
        case "move_job":
            return "change_job", job, {"parent": to % (queues + 1) or None}
    # A queue goes below one that was made before it, so that there is no circle.
    return "change_queue", queue, {"parent": to % queue or None}
