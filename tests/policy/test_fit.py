"""Which agents meet which requirements."""

from typing import Any

import pytest

from app.policy.fit import Agent, Requirements, everyone_failed, meets
from tests.policy.build import agent


def tagged(words: str) -> frozenset[str]:
    return frozenset(words.split())


def test_a_job_that_asks_nothing_special_suits_the_smallest_agent() -> None:
    assert meets(agent(cpus=1, free_ram=32), Requirements())


@pytest.mark.parametrize(
    ("asked", "suits"),
    [
        ({"cpus": 8}, True),
        ({"cpus": 9}, False),
        ({"ram": 1024}, True),
        ({"ram": 1025}, False),
        ({"required_tags": tagged("gpu")}, True),
        ({"required_tags": tagged("gpu linux")}, True),
        ({"required_tags": tagged("gpu windows")}, False),
        ({"excluded_tags": tagged("laptop")}, True),
        ({"excluded_tags": tagged("laptop linux")}, False),
        ({"required_tags": tagged("gpu"), "excluded_tags": tagged("gpu")}, False),
    ],
)
def test_each_requirement_counts(asked: dict[str, Any], suits: bool) -> None:
    able = agent(cpus=8, free_ram=1024, tags="gpu linux")
    assert meets(able, Requirements(**asked)) is suits


@pytest.mark.parametrize(
    ("failed", "online", "everyone"),
    [
        ([1], [agent(1), agent(2)], False),
        ([1, 2], [agent(1), agent(2)], True),
        ([1, 3], [agent(1), agent(2)], False),
        ([1], [agent(1)], True),
        ([1], [agent(1), agent(2, cpus=1)], True),
        ([1], [], True),
    ],
)
def test_everyone_failed_asks_those_online_that_can_do_the_job(
    failed: list[int], online: list[Agent], everyone: bool
) -> None:
    failed_by = frozenset(agent(number).id for number in failed)
    assert everyone_failed(failed_by, Requirements(cpus=2), online) is everyone
