"""What Prometheus is told of this process."""

from collections.abc import Iterable
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from app.errors import AppError

FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

CYCLE_SECONDS = Histogram(
    "farmqueue_cycle_seconds", "Duration of a scheduling cycle, commit included", buckets=FINE
)
LOAD_SECONDS = Histogram(
    "farmqueue_load_seconds", "Duration of reading the whole farm: at the start, and as a repair"
)
POLLS = Counter("farmqueue_polls", "Answered tries of a poll in a cycle", ["outcome"])
WAITING = Gauge("farmqueue_waiting_polls", "Polls held open by this process")
LEASES_LOST = Counter("farmqueue_leases_lost", "Agents that went offline by silence")
LISTENING = Gauge("farmqueue_listening", "1 while hints of other replicas are heard")


def count(outcomes: Iterable[Any]) -> None:
    """Count what a cycle gave: work, nothing, or a refusal."""
    for outcome in outcomes:
        if isinstance(outcome, AppError):
            POLLS.labels("refused").inc()
        else:
            POLLS.labels("nothing" if outcome is None else "assigned").inc()
