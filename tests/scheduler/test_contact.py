"""When the reaper may believe that a silent agent is dead."""

import pytest

from app.scheduler.contact import Contact


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contact(clock: Clock) -> Contact:
    return Contact(lease_seconds=60, look_seconds=2, clock=clock)


def look(contact: Contact, clock: Clock, seconds: float) -> None:
    """Reach the database every two seconds for so long."""
    for _ in range(int(seconds / 2)):
        clock.now += 2
        contact.reached()


def test_nobody_is_thought_dead_before_one_lease_of_contact(contact: Contact, clock: Clock) -> None:
    contact.reached()
    assert not contact.trusted
    look(contact, clock, 58)
    assert not contact.trusted
    look(contact, clock, 2)
    assert contact.trusted


def test_a_database_that_was_away_gives_every_agent_one_more_lease(
    contact: Contact, clock: Clock
) -> None:
    look(contact, clock, 100)
    contact.lost()
    assert not contact.trusted
    look(contact, clock, 60)
    assert not contact.trusted
    look(contact, clock, 2)
    assert contact.trusted


def test_a_process_that_slept_gives_every_agent_one_more_lease(
    contact: Contact, clock: Clock
) -> None:
    look(contact, clock, 100)
    clock.now += 23
    contact.reached()
    assert not contact.trusted


def test_a_late_look_within_one_heartbeat_changes_nothing(contact: Contact, clock: Clock) -> None:
    look(contact, clock, 100)
    clock.now += 21
    contact.reached()
    assert contact.trusted
