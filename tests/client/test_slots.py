"""How long an agent may count on its work, and what of its host a slot may offer."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmqueue.agent import identity
from farmqueue.agent.host import Host
from farmqueue.agent.lease import granted


def answer(**fields: Any) -> Any:
    return {
        "heartbeat_seconds": 20.0,
        "lease_seconds": 60.0,
        "lease_expires_at": "1970-01-01T00:00:00Z",
        **fields,
    }


def test_a_lease_lasts_as_the_service_says_less_the_time_to_end_what_runs() -> None:
    lease = granted(answer(), since=1000, grace=5)
    assert (lease.heartbeat, lease.deadline, lease.grace) == (20, 1055, 5)


def test_a_long_grace_takes_no_more_than_a_quarter_of_a_lease() -> None:
    lease = granted(answer(), since=0, grace=600)
    assert (lease.deadline, lease.grace) == (45, 15)


def test_a_heartbeat_of_nothing_is_no_busy_loop() -> None:
    assert granted(answer(heartbeat_seconds=0), since=0, grace=0).heartbeat > 0


@given(st.integers(1, 256), st.integers(1, 64))
def test_slots_share_all_cpus_and_get_one_at_least(cpus: int, slots: int) -> None:
    host = Host("node", cpus, 1024, slots)
    shares = [host.cpus_of(slot) for slot in range(slots)]
    assert sum(shares) == max(cpus, slots)
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1


def test_idle_slots_share_what_memory_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 3000 * 2**20

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    assert Host("node", 4, 8000, slots=4).free_ram_of_a_slot() == 744
    assert Host("node", 4, 8000, slots=4, busy=2).free_ram_of_a_slot() == 1488
    assert Host("node", 4, 8000, slots=4, busy=4).free_ram_of_a_slot() == 2000


def test_free_memory_is_told_in_steps_since_each_change_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Memory:
        available = 0

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    told = set()
    for megabytes in range(1000, 1100):
        Memory.available = megabytes * 2**20
        told.add(Host("node", 4, 6400, slots=1).free_ram_of_a_slot())
    assert told == {1000}


def test_an_id_is_kept_for_each_slot(tmp_path: Path) -> None:
    first, second = "6f1ed002-ab5d-4aa8-8f9f-a8a8f5b1d5f0", "6f1ed002-ab5d-4aa8-8f9f-a8a8f5b1d5f1"
    identity.keep_id(tmp_path, 0, first)
    identity.keep_id(tmp_path, 1, second)
    assert [identity.known_id(tmp_path, slot) for slot in range(2)] == [first, second]


@pytest.mark.parametrize("broken", ["", "no uuid", "6f1ed002-ab5d-4aa8\n"])
def test_a_broken_id_is_replaced_by_a_new_one(tmp_path: Path, broken: str) -> None:
    (tmp_path / "slot-0.id").write_text(broken)
    assert UUID(identity.known_id(tmp_path, 0)) != UUID(identity.known_id(tmp_path, 0))


def test_a_state_directory_is_free_again_after_its_process(tmp_path: Path) -> None:
    with identity.claimed(tmp_path / "new" / "state"):
        pass
    with identity.claimed(tmp_path / "new" / "state"):
        pass


@pytest.mark.parametrize(
    ("variables", "directory"),
    [
        ({"XDG_STATE_HOME": "/var/state"}, "/var/state/farmqueue"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/render"}, "/home/render/.local/state/farmqueue"),
    ],
)
def test_state_goes_where_this_system_keeps_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], directory: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert identity.default_state_dir() == Path(directory)
