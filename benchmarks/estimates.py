"""How wrong estimates of jobs are: farms in virtual time that do other than was foreseen.

At several moments of each farm the estimator is asked, by what a service would know then, and what
it says is held against what happened. By how much spreads are widened was found on other farms
(`python -m benchmarks.estimates`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from app.simulation.forecast import PLAYS, play, rows
from app.simulation.spread import FINISH, START, Widened
from benchmarks.figures import Figure, percentile
from benchmarks.stage import Stage
from benchmarks.world import CALM, HOUR, Kind, World

TO_LEARN = range(1, 13)
TO_JUDGE = range(101, 113)
MOMENTS = (0.5, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0)
LONGEST_HOURS = 100.0


@dataclass(frozen=True)
class Said:
    """What was expected at one moment of one job, in seconds from then, and what came."""

    what: str
    p10: float
    p50: float
    p90: float
    came: float

    @property
    def wrong(self) -> float:
        return abs(self.p50 - self.came) / self.came


def run(_: Stage) -> list[Figure]:
    figures: list[Figure] = []
    for farm, kind in KINDS.items():
        said = [one for seed in TO_JUDGE for one in judged(seed, kind)]
        for what in sorted({one.what for one in said}):
            figures += _figures(f"{farm}, {what}", [one for one in said if one.what == what])
    return figures


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


def _figures(name: str, said: list[Said]) -> Iterator[Figure]:
    inside = [one for one in said if one.p10 <= one.came <= one.p90]
    yield Figure(f"{name}: estimates", len(said))
    yield Figure(f"{name}: error, median", 100 * median(one.wrong for one in said), "%")
    yield Figure(f"{name}: error, p90", percentile([one.wrong for one in said], 90, 100), "%")
    ratios = [one.came / one.p50 for one in said if one.p50 > 0]
    yield Figure(f"{name}: came, of what was expected", 100 * median(ratios), "%")
    yield Figure(f"{name}: within p10 to p90", 100 * len(inside) / len(said), "%")
    early = sum(one.came < one.p10 for one in said)
    yield Figure(f"{name}: before p10", 100 * early / len(said), "%")


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
