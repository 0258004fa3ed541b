"""What was expected of jobs, beside what came, and how far the two are apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.figures import Figure, percentile


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


def figures(name: str, said: list[Said]) -> Iterator[Figure]:
    inside = [one for one in said if one.p10 <= one.came <= one.p90]
    yield Figure(f"{name}: estimates", len(said))
    yield Figure(f"{name}: error, median", 100 * median(one.wrong for one in said), "%")
    yield Figure(f"{name}: error, p90", percentile([one.wrong for one in said], 90, 100), "%")
    ratios = [one.came / one.p50 for one in said if one.p50 > 0]
    yield Figure(f"{name}: came, of what was expected", 100 * median(ratios), "%")
    yield Figure(f"{name}: within p10 to p90", 100 * len(inside) / len(said), "%")
    early = sum(one.came < one.p10 for one in said)
    yield Figure(f"{name}: before p10", 100 * early / len(said), "%")
