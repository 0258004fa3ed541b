"""How wrong estimates of jobs are: a recorded run, and farms in virtual time.

At several moments of each farm the estimator is asked, by what a service would know then, and what
it says is held against what happened; and so on a real service with agents that sleep, whose course
is recorded. By how much spreads are widened was found on other farms
(`python -m benchmarks.estimates`).
"""

from collections.abc import Iterable, Iterator

from app.simulation.forecast import PLAYS, play, rows
from app.simulation.spread import FINISH, START, Widened
from benchmarks.figures import Figure
from benchmarks.recorded import recorded
from benchmarks.said import Said, figures
from benchmarks.stage import Stage
from benchmarks.world import CALM, HOUR, Kind, World

TO_LEARN = range(1, 13)
TO_JUDGE = range(101, 113)
MOMENTS = (0.5, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0)
LONGEST_HOURS = 100.0


def run(stage: Stage) -> list[Figure]:
    found = _all("recorded", recorded(stage))
    for farm, kind in KINDS.items():
        found += _all(farm, [one for seed in TO_JUDGE for one in judged(seed, kind)])
    return found


def _all(farm: str, said: list[Said]) -> list[Figure]:
    found: list[Figure] = []
    for what in sorted({one.what for one in said}):
        found += figures(f"{farm}, {what}", [one for one in said if one.what == what])
    return found


# More fails, more is urgent, jobs differ more, and agents come and go.
ROUGH = Kind(load=1.0, urgent=0.3, failing=0.1, leaving=1 / 4, between=1.0)


KINDS = {"calm": CALM, "busy": Kind(), "rough": ROUGH}


def judged(seed: int, kind: Kind) -> Iterator[Said]:
    """All that was said of one farm, beside what came."""
    world = World(seed, kind)
    told = []
    for hours in MOMENTS:
        world.run(hours * HOUR)
        picture = world.picture()
        if picture.jobs:
            found = rows(picture, [play(picture, one) for one in range(PLAYS)])
            begun = {job_id for job_id in picture.jobs if world.jobs[job_id].begins}
            told.append((world.now, begun, found))
    while not world.over and world.now < LONGEST_HOURS * HOUR:
        world.run(world.now + HOUR)
    for now, begun, found in told:
        for number, _, *seconds in found:
            job_id = int(number)
            known = "begun" if job_id in begun else "not begun"
            begin, end = world.next_begin(job_id, now), world.jobs[job_id].finished
            if known == "not begun":
                yield from _said("start", seconds[:3], begin, now)
            yield from _said(f"finish of what has {known}", seconds[3:], end, now)


def _said(what: str, seconds: list[float], came: float | None, now: float) -> Iterator[Said]:
    p10, p50, p90 = seconds
    if p50 == p50 and came is not None and came > now:  # noqa: PLR0124  # known
        yield Said(what, p10, p50, p90, came - now)


def learnt(said: Iterable[Said]) -> Widened:
    """The least by which they are widened, so that one in ten comes before and one after."""
    some = [one for one in said if one.p50 > 0]
    most = len(some) // 10
    lows = sorted(one.came / one.p50 for one in some if one.came < one.p10)
    highs = sorted((one.came / one.p50 for one in some if one.came > one.p90), reverse=True)
    low = lows[most] if len(lows) > most else 1.0
    return Widened(round(low, 2), round(highs[most] if len(highs) > most else 1.0, 2))


if __name__ == "__main__":
    assert (Widened(1.0, 1.0),) * 2 == (START, FINISH), "take the present ones out first"
    usual = (CALM, Kind())
    found = [one for kind in usual for seed in TO_LEARN for one in judged(seed, kind)]
    print("START", learnt(one for one in found if one.what == "start"))
    print("FINISH", learnt(one for one in found if one.what != "start"))
