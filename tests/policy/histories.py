"""Random farms, small and full of ties, and what may happen on them (hypothesis strategies).

Drawing costs far more than playing, so that whole rows are drawn from lists of all combinations,
made once. In each list a value that stands more than once comes more often; the first is plainest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import strategies as st

from tests.policy.books import Books
from tests.policy.brute_force import BruteForce, Pick, Row
from tests.policy.farm_sim import OF_THE_KIND, FarmSim

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


def decisions(history: History) -> Iterator[Decision]:
    """Play the history on the policy, and the same on the judge's books."""
    policy, books = begun(history)
    for event in history.events:
        yield from happen(policy, books, *event)


def after_each_event(history: History) -> Iterator[FarmSim]:
    """The farm at the beginning and whenever something has happened."""
    policy, books = begun(history)
    yield policy
    for event in history.events:
        for _ in happen(policy, books, *event):
            pass
        yield policy


def begun(history: History) -> tuple[FarmSim, Books]:
    lists = history.queues, history.jobs, history.agents
    return FarmSim(*lists), Books(*lists)


def happen(policy: FarmSim, books: Books, name: str, *arguments: Any) -> Iterator[Decision]:
    if name == "poll":
        yield from _cycle(policy, books, arguments[0])
    elif possible(books, name, *arguments):
        getattr(policy, name)(*arguments)
        getattr(books, name)(*arguments)
    assert {n: policy.state(n) for n in policy.jobs} == {
        n: books.state(job) for n, job in books.jobs.items()
    }


def possible(books: Books, name: str, at: int | str, changes: Any = None) -> bool:
    """What it is about is still there, and so is what it should hang below or wait for."""
    there = books.agents.keys() | ({at} if "create" in name else set())
    there |= books.jobs.keys() if "job" in name or name == "run_again" else books.queues.keys()
    settings = changes if isinstance(changes, dict) else {}
    asked = {settings.get("parent")} - {None}
    if at not in there or not asked <= books.queues.keys():
        return False
    if name in ("delete_job", "run_again"):
        return books.assigned(books.jobs[int(at)]) == 0
    if name == "delete_queue":
        return not books.children(books.queues[int(at)])
    return set(settings.get("parents", ())) <= books.jobs.keys()


def _cycle(policy: FarmSim, books: Books, hostnames: list[str]) -> Iterator[Decision]:
    asking = [h for h in hostnames if books.agents[h]["online"]]
    for hostname, pick in zip(asking, policy.poll(*asking), strict=True):
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
    every(
        cpus=[4, 4, 1],
        ram=[64, 64, 32],
        tags=[[], ["gpu"], ["laptop"], ["gpu", "laptop"]],
        within=[None, None, None, 1, 2, 3],  # a queue
    )
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
    st.tuples(st.just("create_job"), a_number, a_node, some_work, some_needs),
    st.tuples(st.just("create_queue"), a_number, a_node),
    st.tuples(st.sampled_from(["delete_job", "delete_queue", "run_again"]), a_number),
    st.tuples(st.just("prefer_running_jobs"), a_number, st.booleans()),
    st.tuples(st.just("need"), a_number, some_needs),
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
    made = Made(len(queues), len(jobs))
    for raw in draw(lists_of_raw_events):
        if raw[0] in ("round", "poll", "agent"):
            events += events_of_agents(raw, hostnames)
        else:
            events.append(made.event(*raw))
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


@dataclass
class Made:
    """How many queues and jobs there were up to now, with those that are gone."""

    queues: int
    jobs: int

    def event(self, name: str, number: int, *details: Any) -> Event:
        """Something that befalls the tree; a queue is never below one that was made after it."""
        job, queue = number % self.jobs + 1, number % self.queues + 1
        place = {"parent": number % (self.queues + 1) or None}
        match name, details:
            case "create_queue", (node,):
                self.queues += 1
                return name, self.queues, node | place
            case "create_job", (node, work, needs):
                self.jobs += 1
                parents = {"parents": [self.jobs - 1] if self.jobs % 3 == 0 else []}
                return name, self.jobs, node | work | needs | place | parents
            case "move_queue" | "move_job", (to,):
                moved, above = (queue, queue) if name == "move_queue" else (job, self.queues + 1)
                return name.replace("move", "change"), moved, {"parent": to % above or None}
            case "prefer_running_jobs", (prefers,):
                return "change_queue", queue, {name: prefers}
            case "need", (needs,):
                return "change_job", job, {need: needs[need] for need in OF_THE_KIND}
        return name, queue if name.endswith("queue") else job, *details
