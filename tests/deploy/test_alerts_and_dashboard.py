"""The alerts and the dashboard speak of metrics that there are, and the docs of every alert."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
ALERTS_TEST = ROOT / "deploy/prometheus/alerts_test.yml"
DASHBOARD = ROOT / "deploy/grafana/farmqueue.json"
OPERATIONS = (ROOT / "docs/operations.md").read_text()
RUNBOOK = "https://github.com/farmqueue/farmqueue/blob/main/docs/operations.md"

NAME = re.compile(r"\bfarmqueue_[a-z_]+")
TESTED_AT_LEAST = 3


def rules() -> list[dict[str, Any]]:
    read = yaml.safe_load(ALERTS.read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return list(read["panels"])


def expressions() -> list[str]:
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [*(rule["expr"] for rule in rules()), *shown]


async def samples(client: httpx.AsyncClient) -> set[str]:
    """Every name that a sample of the service can have."""
    found: set[str] = set()
    for line in (await client.get("/metrics")).text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            found |= (
                {f"{name}_{part}" for part in ("bucket", "sum", "count")}
                if (kind == "histogram")
                else {name}
            )
    return found


async def test_alerts_and_dashboard_name_only_metrics_that_there_are(
    client: httpx.AsyncClient,
) -> None:
    named = {name for expression in expressions() for name in NAME.findall(expression)}
    there = await samples(client)
    assert named
    assert named - there == set()


async def test_every_metric_is_in_the_docs_and_the_docs_name_no_other(
    client: httpx.AsyncClient,
) -> None:
    there = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in await samples(client)
        if name.startswith("farmqueue_") and not name.endswith("_created")
    }
    documented = set(re.findall(r"^\| `(farmqueue_[a-z_]+)", OPERATIONS, re.MULTILINE))
    assert documented == there


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    told = rule["annotations"]
    assert told.keys() == {"summary", "description", "action", "runbook_url"}
    assert all(told.values())
    assert told["runbook_url"] == f"{RUNBOOK}#{rule['alert'].lower()}"
    assert f"\n#### {rule['alert']}\n" in OPERATIONS


def test_no_section_is_of_an_alert_that_there_is_not() -> None:
    sections = re.findall(r"^#### (Farmqueue\w+)$", OPERATIONS, re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]


def test_some_alerts_are_tested_by_promtool() -> None:
    tests = yaml.safe_load(ALERTS_TEST.read_text())["tests"]
    tested = {one["alertname"] for test in tests for one in test["alert_rule_test"]}
    assert len(tested) >= TESTED_AT_LEAST
    assert tested <= {rule["alert"] for rule in rules()}


def test_panels_of_the_dashboard_have_ids_of_their_own_and_lie_beside_each_other() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert max(x for x, _ in taken) < 24
