"""What Prometheus is told of this process.

What the way of a poll counts is bound to its labels once, here: no look-up by label is on that way.
"""

import platform
from collections.abc import Collection
from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram

from app.errors import AppError

FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CALLS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)

ASSIGNED, NOTHING, REFUSED, FAILED = OUTCOMES = ("assigned", "nothing", "refused", "failed")

# --- cycles ---

CYCLE_SECONDS = Histogram(
    "farmqueue_cycle_seconds", "Duration of a scheduling cycle, commit included", buckets=FINE
)
DISK_SECONDS = Histogram(
    "farmqueue_disk_seconds",
    "How long it took until what cycles had committed was on the disk",
    buckets=FINE,
)
DISK_LOST = Counter(
    "farmqueue_disk_lost", "Times that the connection was lost that waits for the disk"
)
CYCLE_POLLS = Histogram(
    "farmqueue_cycle_polls", "New polls that a cycle served together", buckets=CALLS
)
CYCLE_GRANTS = Histogram(
    "farmqueue_cycle_grants", "Assignments that a cycle gave out", buckets=CALLS
)
LOAD_SECONDS = Histogram(
    "farmqueue_load_seconds", "Duration of reading the whole farm: at the start, and as a repair"
)

# --- polls ---

POLLS = Counter("farmqueue_polls", "Answered tries of a poll in a cycle", ["outcome"])
ASSIGN_SECONDS = Histogram(
    "farmqueue_assign_seconds",
    "How long a try of a poll was in the service's hands, without its waiting for work to come",
    ["outcome"],
    buckets=FINE,
)
WAITING = Gauge("farmqueue_waiting_polls", "Polls held open by this process")

_POLLS = {outcome: POLLS.labels(outcome) for outcome in OUTCOMES}
_SECONDS = {outcome: ASSIGN_SECONDS.labels(outcome).observe for outcome in OUTCOMES}

# --- agents ---

LEASES_LOST = Counter("farmqueue_leases_lost", "Agents that went offline by silence")
REAPER_LAG = Gauge(
    "farmqueue_reaper_lag_seconds", "How long after its end the latest lost lease was noticed"
)
REAPED = Gauge(
    "farmqueue_reaper_success_timestamp_seconds", "When leases that ran out were last looked for"
)
HEARTBEATS = Histogram(
    "farmqueue_heartbeats_served", "Heartbeats that were served together", buckets=CALLS
)

# --- between processes ---

LISTENING = Gauge("farmqueue_listening", "1 while hints of other replicas are heard")
FEED_NEWS = Gauge(
    "farmqueue_feed_news", "Queues, jobs and agents that others had changed, at the last read"
)
FEED_LAG = Gauge(
    "farmqueue_feed_lag_seconds", "Time between the last two reads of the feed: news were no older"
)
FEED_READ = Gauge("farmqueue_feed_read_timestamp_seconds", "When the feed was last read")

# --- beside ---

KEPT = Gauge(
    "farmqueue_keeper_success_timestamp_seconds", "When the keeper last did all that it has to do"
)
AUDIT_FINDINGS = Gauge(
    "farmqueue_audit_findings", "What the last recount of the database found", ["check"]
)
AUDITED = Gauge("farmqueue_audit_timestamp_seconds", "When the last recount ended")
AUDIT_SECONDS = Gauge("farmqueue_audit_seconds", "How long the last recount took")
CONNECTIONS = Gauge("farmqueue_pool_connections_in_use", "Database connections in use")
POOL_SIZE = Gauge("farmqueue_pool_connections_maximum", "Database connections that there may be")
BUILD = Gauge(
    "farmqueue_build_info", "1, of the release that runs", ["version", "schema", "python"]
)


def outcome_of(given: object) -> str:
    """What a try of a poll came to: work, nothing, or a refusal."""
    if given is None:
        return NOTHING
    return REFUSED if isinstance(given, AppError) else ASSIGNED


def tried(given: Collection[tuple[object, float]]) -> None:
    """Count tries of polls: what each was given, and the seconds that it was in hand."""
    counts = dict.fromkeys(OUTCOMES, 0)
    for answer, seconds in given:
        outcome = outcome_of(answer)
        counts[outcome] += 1
        _SECONDS[outcome](seconds)
    for outcome, number in counts.items():
        if number:
            _POLLS[outcome].inc(number)


def failed(seconds: Collection[float]) -> None:
    """Count polls that a cycle failed: they were answered with an error of the service."""
    for of_one in seconds:
        _SECONDS[FAILED](of_one)
    _POLLS[FAILED].inc(len(seconds))


def built(schema: str) -> None:
    """Say which release this is."""
    BUILD.labels(version("farmqueue"), schema, platform.python_version()).set(1)
