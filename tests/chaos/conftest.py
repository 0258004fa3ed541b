"""A seed that can be given, a cluster to copy, and a stage for each test."""

import os
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.postgres import make_cluster
from tests.chaos.stage import Maker
from tests.homes import home_in_memory

FILES = 6_000  # of 2,000 polls: the service's, and the clients' own
MADE = os.environ.get("FARMQUEUE_CHAOS_CLUSTER")  # by the run that this one is a part of
SEED = int(os.environ.get("FARMQUEUE_CHAOS_SEED") or random.SystemRandom().randrange(10**9))


def pytest_report_header() -> str:
    return f"chaos: FARMQUEUE_CHAOS_SEED={SEED}"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """Data of a server that is stopped, with the newest schema."""
    if MADE:
        yield Path(MADE)
        return
    with home_in_memory("fqc") as home:
        yield make_cluster(home)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Each test draws from the seed in its own way; pytest shows it where the test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"FARMQUEUE_CHAOS_SEED={SEED}")  # noqa: T201
    return random.Random(seed)


@pytest.fixture
def many_files() -> Iterator[None]:
    """A poll that is held open is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= FILES or hard == resource.RLIM_INFINITY, f"`ulimit -Hn` must be {FILES} or more"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def making(cluster: Path, chance: random.Random, logs: Path) -> Iterator[Maker]:
    """How servers, services and proxies are set up, with a home for their data."""
    with home_in_memory("fqc") as home:
        yield Maker(cluster, home, logs, chance)


@pytest.fixture
def stage(cluster: Path, chance: random.Random, tmp_path: Path) -> Iterator[Maker]:
    """What a test sets up by itself."""
    with making(cluster, chance, tmp_path) as maker:
        yield maker
