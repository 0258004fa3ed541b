"""How long tasks take: as measured, with the spread that was measured; the same for a seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist

from app.policy.tree import Job

# Draws of the normal distribution, one for each of as many equal parts of it.
DRAWS = 4_096
LEAST_SECONDS = 0.001

# A task that takes longer than nearly all of its kind: by that much longer than it took until now.
OVERDUE = 1.1
_ALL_BUT_NONE = 0.999

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Model:
    """Seconds of a task, log-normal: the mean and the deviation of their logarithm.

    `doubt` is how far `mu` itself may be off, one standard deviation; `sigma` has it in it.
    """

    mu: float
    sigma: float
    doubt: float = 0.0

    @classmethod
    def of(cls, mean: float, spread: float) -> "Model":
        """`spread` is the standard deviation as a part of the mean."""
        variance = log(1 + spread * spread)
        return cls(log(max(mean, LEAST_SECONDS)) - variance / 2, variance**0.5)

    def drawn(self, deviations: float) -> "Model":
        """One that it may turn out to be: all tasks of a job are off by the same."""
        rest = max(self.sigma**2 - self.doubt**2, 0.0)
        return Model(self.mu + self.doubt * deviations, rest**0.5)


class Durations:
    """Seconds of an assignment. Those of the same tasks are the same, whoever has them when.

    So two runs of one seed differ by what was changed, and not by chance.
    """

    def __init__(self, seed: int, models: Mapping[int, Model], otherwise: Model) -> None:
        self._models = models  # by the job's id
        self._otherwise = otherwise
        self._draws = [_NORMAL.inv_cdf((part + 0.5) / DRAWS) for part in range(DRAWS)]
        random.Random(seed).shuffle(self._draws)  # noqa: S311  # repeatable on purpose

    def __call__(self, job: Job, ordinals: Sequence[int]) -> float:
        model = self._models.get(job.id, self._otherwise)
        draw = self._draws[_place(job.id, ordinals[0])]
        return max(exp(model.mu + model.sigma * draw), LEAST_SECONDS) * len(ordinals)

    def left(self, job: Job, ordinals: Sequence[int], elapsed: float) -> float:
        """Seconds yet of an assignment that began so long ago: of those that take longer."""
        model = self._models.get(job.id, self._otherwise)
        part = (_place(job.id, ordinals[0]) + 0.5) / DRAWS
        total = exp(model.mu) * len(ordinals)
        if model.sigma and elapsed > 0:
            over = _NORMAL.cdf((log(elapsed / len(ordinals)) - model.mu) / model.sigma)
            over = min(over, _ALL_BUT_NONE)
            draw = _NORMAL.inv_cdf(over + (1 - over) * part)
            total = exp(model.mu + model.sigma * draw) * len(ordinals)
        elif model.sigma:
            total = self(job, ordinals)
        return max(total, elapsed * OVERDUE, elapsed + LEAST_SECONDS) - elapsed


def _place(job_id: int, ordinal: int) -> int:
    """Numbers next to each other lead to places far apart."""
    return (job_id * 0x9E3779B1 ^ ordinal * 0x85EBCA77) >> 11 & (DRAWS - 1)
