"""What docker-compose.yml promises an operator, read by Compose itself."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.db.embedded import SETTINGS
from app.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
BIN = Path(sys.executable).parent
ANY_CHARACTERS = "p@ss:/w#rd$"
# What has no default.
SECRETS = {
    "POSTGRES_PASSWORD": f"{ANY_CHARACTERS}owner",
    "SERVICE_PASSWORD": f"{ANY_CHARACTERS}service",
    "READER_PASSWORD": f"{ANY_CHARACTERS}reader",
    "FARMQUEUE_ADMIN_TOKEN": ANY_CHARACTERS,
}
CONTAINERS = ["postgres", "migrate", "service", "proxy", "agent", "audit"]
RESTARTS = {"migrate": "on-failure:3", "audit": "no"}
LONGEST_POLL_SECONDS = 60
# What the compose file settles for the containers; the rest is the operator's, in .env.
SETTLED = {"FARMQUEUE_DATABASE_URL", "FARMQUEUE_DATA_DIR", "FARMQUEUE_HOST", "FARMQUEUE_PORT"}


def compose(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Compose's own reading of the file, with these variables and no .env."""
    return subprocess.run(
        [BIN / "docker-compose", "--file", COMPOSE_FILE, "--env-file", os.devnull, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environ},
    )


@cache
def project() -> dict[str, Any]:
    read = compose("--profile=*", "config", "--format=json", **SECRETS)
    assert read.returncode == 0, read.stderr
    parsed: dict[str, Any] = json.loads(read.stdout)
    return parsed


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = project()["services"][name]
    return found


def waits_for(name: str) -> dict[str, str]:
    return {on: how["condition"] for on, how in service(name)["depends_on"].items()}


def test_the_file_follows_the_compose_specification() -> None:
    checked = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema=vendor.compose-spec", COMPOSE_FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_known_beforehand(name: str) -> None:
    others = {other: value for other, value in SECRETS.items() if other != name}
    for environ in (others, others | {name: ""}):
        refused = compose("config", **environ)
        assert refused.returncode != 0
        assert f"set {name} in .env" in refused.stderr


@pytest.mark.parametrize(
    ("name", "role", "password"),
    [
        ("migrate", "farmqueue", "POSTGRES_PASSWORD"),
        ("service", "farmqueue_service", "SERVICE_PASSWORD"),
        ("audit", "farmqueue_reader", "READER_PASSWORD"),
    ],
)
def test_each_is_its_own_role_of_the_database_and_knows_no_other_password(
    name: str, role: str, password: str
) -> None:
    environment = service(name)["environment"]
    url = urlsplit(environment["FARMQUEUE_DATABASE_URL"])
    assert (url.username, url.password) == (role, None)
    # Compose prints a dollar doubled, as its own file has to write it.
    printed = {secret: value.replace("$", "$$") for secret, value in SECRETS.items()}
    assert environment["PGPASSWORD"] == printed[password]
    told = {value for other, value in printed.items() if other.endswith("_PASSWORD")}
    assert told & {str(value) for value in environment.values()} == {printed[password]}


def test_the_roles_are_made_with_the_database_and_given_what_they_need_by_the_migration() -> None:
    assert {
        secret: service("postgres")["environment"][secret].replace("$$", "$")
        for secret in SECRETS
        if secret.endswith("_PASSWORD")
    } == {secret: value for secret, value in SECRETS.items() if secret.endswith("_PASSWORD")}
    made = {Path(one["target"]).name: one["source"] for one in service("postgres")["configs"]}
    assert made == {"1-roles.sql": "roles", "2-no-superuser.sql": "no-superuser"}
    assert Path(project()["configs"]["roles"]["file"]) == ROOT / "deploy/postgres/roles.sql"
    assert service("migrate")["command"] == [
        "migrate",
        "--service-role=farmqueue_service",
        "--read-role=farmqueue_reader",
    ]


def test_replicas_are_reached_by_the_proxy_alone_whose_word_for_the_client_they_take() -> None:
    networks = {name: set(service(name)["networks"]) for name in ("proxy", "service", "agent")}
    assert networks["agent"] & networks["service"] == set()
    assert networks["proxy"] == networks["agent"] | networks["service"]
    assert service("service")["environment"]["FORWARDED_ALLOW_IPS"] == "*"
    config = project()["configs"]["haproxy"]["content"]
    assert re.findall(r"set-header X-Forwarded-For (.*)", config) == ["%[var(txn.client)]"]


def test_a_script_makes_the_env_file_with_secrets_of_its_own() -> None:
    first, second = (
        subprocess.run([ROOT / "deploy/env.sh"], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    made = [dict(re.findall(r"^([A-Z_]+)=(.+)$", env, re.MULTILINE)) for env in (first, second)]
    assert [set(one) for one in made] == [set(SECRETS)] * 2
    assert len({value for one in made for value in one.values()}) == 2 * len(SECRETS)
    assert re.sub(r"(?m)^([A-Z_]+=).+$", r"\1", first) == (ROOT / ".env.example").read_text()


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    container = service(name)
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert "cap_add" not in container
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert not container.get("privileged")


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_comes_back_after_a_crash_and_does_not_fill_the_disk_with_logs(
    name: str,
) -> None:
    container = service(name)
    assert container["restart"] == RESTARTS.get(name, "unless-stopped")
    assert set(container["logging"]["options"]) == {"max-size", "max-file"}


def test_the_database_survives_its_container() -> None:
    (volume,) = service("postgres")["volumes"]
    assert (volume["type"], volume["source"]) == ("volume", "database")
    # The image of 18 and newer keeps its data below; one directory deeper would be lost.
    assert volume["target"] == "/var/lib/postgresql"


def test_the_database_has_the_settings_of_the_embedded_one() -> None:
    command = project()["services"]["postgres"]["command"]
    given = {argument for argument in command if "=" in argument}
    assert given == {setting.replace(" = ", "=").replace("'", "") for setting in SETTINGS}


def test_the_schema_is_current_before_any_replica_starts() -> None:
    assert service("migrate")["command"][0] == "migrate"
    assert waits_for("migrate") == {"postgres": "service_healthy"}
    assert waits_for("service")["migrate"] == "service_completed_successfully"


def test_nothing_is_sent_to_a_replica_that_is_not_ready() -> None:
    assert "/readyz" in " ".join(service("service")["healthcheck"]["test"])
    assert waits_for("proxy") == {"service": "service_healthy"}
    assert "option httpchk GET /readyz" in project()["configs"]["haproxy"]["content"]


def test_there_are_replicas_and_none_takes_a_port_of_the_host() -> None:
    assert service("service")["deploy"]["replicas"] == 2
    assert [name for name in project()["services"] if "ports" in service(name)] == ["proxy"]


def test_the_farm_is_published_on_loopback_unless_told_otherwise() -> None:
    (port,) = service("proxy")["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8000", 8000)


def test_the_proxy_holds_a_poll_for_longer_than_it_may_wait() -> None:
    config = project()["configs"]["haproxy"]["content"]
    timeouts = dict(re.findall(r"timeout (client|server) (\d+)s", config))
    assert set(timeouts) == {"client", "server"}
    assert min(map(int, timeouts.values())) > LONGEST_POLL_SECONDS


def test_every_agent_of_a_large_farm_may_hold_a_poll_open() -> None:
    config = project()["configs"]["haproxy"]["content"]
    (connections,) = map(int, re.findall(r"maxconn (\d+)", config))
    # One towards the agent and one towards the replica, and what the proxy itself has open.
    assert service("proxy")["ulimits"]["nofile"] >= 2 * connections + 100
    assert service("service")["ulimits"]["nofile"] > connections


def test_agents_come_only_when_asked_for() -> None:
    plain = compose("config", "--services", **SECRETS).stdout.split()
    asked = compose("--profile=agents", "config", "--services", **SECRETS)
    assert set(asked.stdout.split()) - set(plain) == {"agent"}
    assert service("agent")["environment"]["FARMQUEUE_URL"] == "http://proxy:8000"


def test_every_setting_of_the_service_can_be_set_in_the_env_file() -> None:
    settings = {f"FARMQUEUE_{name.upper()}" for name in Settings.model_fields}
    passed = {name for name in service("service")["environment"] if name.startswith("FARMQUEUE_")}
    assert passed | SETTLED == settings


def test_a_setting_that_is_not_set_keeps_the_default_of_the_service() -> None:
    environment = service("service")["environment"]
    unset = {name for name in environment if name.startswith("FARMQUEUE_")}
    unset -= {*SETTLED, "FARMQUEUE_ADMIN_TOKEN"}
    assert {environment[name] for name in unset} == {None}
