"""An agent joins with the token that it was given, and lives by its own from then on."""

import asyncio
import stat
from pathlib import Path

import pytest

from farmqueue.agent import identity
from farmqueue.agent.membership import register, renew_in_time
from farmqueue.agent.options import Options
from farmqueue.agent.run import slots
from farmqueue.agent.slot import Slot
from farmqueue.errors import Forbidden
from tests.client.desk import Desk, listed
from tests.client.farm import Farm, problem

GIVEN = "fq_join_1_given"


def slot(farm: Farm, state: Path, given: str = GIVEN) -> Slot:
    [made] = slots(Options(state_dir=state), farm.async_client().speaking_with(given))
    return made


def carried(farm: Farm) -> list[str]:
    """The tokens of the registrations, in order."""
    return [call.headers["authorization"].split()[1] for call in farm.called("POST /agents")]


async def test_its_own_token_is_kept_for_its_eyes_alone_and_used_after_a_restart(
    tmp_path: Path,
) -> None:
    farm = Farm(token="fq_agent_2_own", token_seconds=1000.0)
    agent = slot(farm, tmp_path)
    await register(agent)
    assert agent.client.token == "fq_agent_2_own"
    file = tmp_path / "slot-0.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = slot(farm, tmp_path)
    await register(again)
    assert carried(farm) == [GIVEN, "fq_agent_2_own"]
    assert again.agent_id == agent.agent_id


async def test_past_half_of_its_life_it_gets_a_new_one(tmp_path: Path) -> None:
    farm = Farm(token="fq_agent_2_own", token_seconds=1000.0)
    agent = slot(farm, tmp_path)
    await register(agent)
    now = asyncio.get_running_loop().time()
    assert agent.renew_at == pytest.approx(now + 500, abs=5)
    await renew_in_time(agent)
    assert len(carried(farm)) == 1
    agent.renew_at, farm.token = now, "fq_agent_3_new"
    await renew_in_time(agent)
    assert carried(farm)[-1] == "fq_agent_2_own"
    assert identity.known_token(tmp_path, 0) == agent.client.token == "fq_agent_3_new"


async def test_where_its_own_is_refused_it_joins_anew(tmp_path: Path) -> None:
    farm = Farm(token="fq_agent_2_own")
    await register(slot(farm, tmp_path))
    farm.refused_tokens, farm.token = {"fq_agent_2_own"}, "fq_agent_3_new"
    agent = slot(farm, tmp_path)
    await register(agent)
    assert carried(farm) == [GIVEN, "fq_agent_2_own", GIVEN]
    assert agent.client.token == "fq_agent_3_new"


async def test_where_neither_is_taken_it_ends(tmp_path: Path) -> None:
    farm = Farm(token="fq_agent_2_own")
    await register(slot(farm, tmp_path))
    farm.refused_tokens = {"fq_agent_2_own", GIVEN}
    with pytest.raises(Forbidden, match="not valid"):
        await register(slot(farm, tmp_path))


async def test_a_farm_that_is_away_is_asked_for_a_new_one_later(tmp_path: Path) -> None:
    farm = Farm(token="fq_agent_2_own", token_seconds=1000.0)
    agent = slot(farm, tmp_path)
    await register(agent)
    farm.refuse["POST /agents"] = problem(503, "unavailable")
    agent.renew_at = before = asyncio.get_running_loop().time()
    await renew_in_time(agent)
    assert agent.renew_at == before + agent.options.renew_pause
    assert agent.client.token == "fq_agent_2_own"


async def test_an_agents_token_that_was_handed_over_says_itself_who_it_is(tmp_path: Path) -> None:
    farm = Farm()
    farm.answers["POST /agents"] = {"id": "a9"}
    agent = slot(farm, tmp_path, "fq_agent_9_handed")
    await register(agent)
    [call] = farm.called("POST /agents")
    assert "id" not in call.body
    assert agent.agent_id == "a9"


# --- the command line ---


TOKEN = {
    "id": 3, "role": "join", "name": "nodes", "valid": True, "job_queue_id": 3, "agent_id": None,
    "uses_left": 4, "expires_at": None, "last_used_at": None, "token": "fq_join_3_new",
}  # fmt: skip


def test_a_token_is_made_and_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARMQUEUE_TOKEN", "of-the-environment")
    desk = Desk()
    desk.answers("POST /tokens", TOKEN)
    desk.answers("GET /jobqueues", listed({"id": 3, "fullpath": "/films"}))
    asked = ("create", "join", "nodes", "--queue", "/films", "--uses", "4", "--expires", "2d")
    result = desk.types("--token", "given", "token", *asked)
    assert result.stdout == "fq_join_3_new\n"
    call = desk.asked("POST /tokens")
    assert call.headers["authorization"] == "Bearer given"
    assert call.body.pop("expires_at")
    assert call.body == {"role": "join", "name": "nodes", "job_queue_id": 3, "uses": 4}


def test_tokens_are_listed_and_revoked() -> None:
    desk = Desk()
    desk.answers("GET /tokens", listed(TOKEN))
    shown = desk.types("token", "list", "--role", "join").stdout
    assert "nodes" in shown
    assert "fq_join" not in shown
    desk.answers("DELETE /tokens/3", {})
    assert desk.types("token", "revoke", "3").exit_code == 0
    assert desk.types("token", "create", "viewer", "a", "--expires", "soon").exit_code == 2


def test_the_admin_token_of_this_machine_is_found_and_sent_to_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "admin-token").write_text("of-the-data\n")
    monkeypatch.setenv("FARMQUEUE_DATA_DIR", str(tmp_path))
    desk = Desk()
    desk.answers("GET /jobs", listed())
    for url in ("http://localhost:8000", "http://elsewhere:8000", "http://127.0.0.1.evil:8000"):
        desk.types("jobs", "--url", url)
    sent = [call.headers.get("authorization") for call in desk.farm.called("GET /jobs")]
    assert sent == ["Bearer of-the-data", None, None]
