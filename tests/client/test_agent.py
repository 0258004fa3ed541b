"""The life of an agent, against a farm in this process and with real commands."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from farmqueue import Invalid, __version__
from farmqueue.agent import Options
from farmqueue.agent.life import live
from farmqueue.agent.run import slots
from farmqueue.agent.slot import Slot
from tests.client.farm import Farm, problem, until

LONG = 600  # seconds; no test waits that long


@contextlib.asynccontextmanager
async def working(farm: Farm, state_dir: Path, **options: Any) -> AsyncIterator[list[Slot]]:
    """Agents at work, until the block ends; then they have said goodbye."""
    quick = {"pause": 0.01, "wait": 0, "grace": 0.2} | options
    async with farm.async_client() as client:
        agents = slots(Options(state_dir=state_dir, **quick), client)
        lives = [asyncio.create_task(live(agent)) for agent in agents]
        try:
            yield agents
        finally:
            for life in lives:
                life.cancel()
            await asyncio.wait(lives)


def python(script: str, *arguments: str) -> list[str]:
    """A command line that runs a Python script; its braces are its own."""
    return [sys.executable, "-c", script.replace("{", "{{").replace("}", "}}"), *arguments]


def sleeper(file: Path) -> list[str]:
    """A command line that writes its pid into a file, and then takes for ever."""
    return python(
        "import os, sys, time; f = open(sys.argv[1], 'w'); f.write(str(os.getpid())); f.close()\n"
        f"time.sleep({LONG})",
        str(file),
    )


def is_alive(file: Path) -> bool:
    """Whether the process lives whose pid is in the file."""
    try:
        return psutil.Process(int(file.read_text())).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_written(file: Path) -> bool:
    return file.exists() and bool(file.read_text())


def paths(farm: Farm) -> list[str]:
    return [call.path for call in farm.calls]


async def test_an_agent_introduces_itself(tmp_path: Path) -> None:
    farm = Farm()
    described = {"cpus": 8, "ram": 4096, "hostname": "node7", "tags": ("gpu", "linux")}
    async with working(farm, tmp_path, **described):
        await until(lambda: farm.agents)
    [said] = [call.body for call in farm.called("POST /agents")]
    assert 0 <= said.pop("free_ram") <= 4096
    assert said == {
        "id": said["id"],
        "hostname": "node7",
        "cpus": 8,
        "ram": 4096,
        "tags": ["gpu", "linux"],
        "version": __version__,
    }


async def test_an_agent_finds_out_what_its_host_has(tmp_path: Path) -> None:
    farm = Farm()
    async with working(farm, tmp_path):
        await until(lambda: farm.agents)
    [said] = farm.agents.values()
    assert said["hostname"]
    assert said["cpus"] == len(os.sched_getaffinity(0))
    assert said["ram"] == psutil.virtual_memory().total // 2**20


async def test_the_result_of_the_last_task_comes_with_the_next_poll(tmp_path: Path) -> None:
    farm = Farm()
    work = farm.give(7, command=python(""))
    async with working(farm, tmp_path):
        await until(lambda: farm.results)
    task = work["tasks"][0]["id"]
    [poll] = [c.body for c in farm.called("POST /assign") if "results" in c.body]
    assert poll["results"] == [{"task_id": task, "state": "done"}]
    assert poll["assignment_id"] == work["id"]
    assert "free_ram" in poll
    assert not farm.called(f"POST /assignments/{work['id']}/results")


async def test_results_of_earlier_tasks_do_not_wait_for_the_batch(tmp_path: Path) -> None:
    farm, pid = Farm(), tmp_path / "pid"
    second = (
        "if sys.argv[1] == '2': import time; open(sys.argv[2], 'w').write(str(1)); time.sleep(600)"
    )
    work = farm.give(1, 2, command=python(f"import sys\n{second}", "{frame}", str(pid)))
    async with working(farm, tmp_path):
        await until(lambda: is_written(pid) and farm.results)
        assert farm.states() == {work["tasks"][0]["id"]: "done"}


async def test_a_failed_task_says_why_and_the_next_is_done(tmp_path: Path) -> None:
    farm = Farm()
    script = "import sys; print('frame', sys.argv[1]); sys.exit(sys.argv[1] == '1')"
    work = farm.give(1, 2, command=python(script, "{frame}"))
    async with working(farm, tmp_path):
        await until(lambda: len(farm.results) == 2)
    first, second = (farm.results[task["id"]] for task in work["tasks"])
    assert first == {
        "task_id": first["task_id"],
        "state": "failed",
        "error": "exit code 1\nframe 1",
    }
    assert second["state"] == "done"


async def test_tasks_without_a_command_fail_and_say_what_is_missing(tmp_path: Path) -> None:
    farm = Farm()
    farm.give(1, 2, cwd="/somewhere")
    async with working(farm, tmp_path):
        await until(lambda: len(farm.results) == 2)
    assert {result["state"] for result in farm.results.values()} == {"failed"}
    assert all("no data.command" in result["error"] for result in farm.results.values())


async def test_an_error_is_no_longer_than_the_service_takes(tmp_path: Path) -> None:
    farm = Farm()
    work = farm.give(1, command=["render", "{" + "x" * 100_000 + "}"])
    async with working(farm, tmp_path):
        await until(lambda: farm.results)
    assert len(farm.results[work["tasks"][0]["id"]]["error"]) == 8_000


async def test_an_unknown_placeholder_fails_the_task(tmp_path: Path) -> None:
    farm = Farm()
    work = farm.give(1, command=["render", "{frmae}"])
    async with working(farm, tmp_path):
        await until(lambda: farm.results)
    assert "no placeholder {frmae}" in farm.results[work["tasks"][0]["id"]]["error"]


@pytest.mark.parametrize(("code", "state"), [(0, "done"), (3, "failed")])
async def test_a_batch_in_one_process_has_one_outcome(
    tmp_path: Path, code: int, state: str
) -> None:
    farm, runs = Farm(), tmp_path / "runs"
    script = f"import sys; open(sys.argv[1], 'a').write(sys.argv[2] + ' '); sys.exit({code})"
    work = farm.give(1, 2, 3, per="batch", command=python(script, str(runs), "{first}-{last}"))
    async with working(farm, tmp_path):
        await until(lambda: len(farm.results) == 3)
    assert runs.read_text() == "1-3 "
    assert farm.states() == {task["id"]: state for task in work["tasks"]}


async def test_progress_is_reported_while_a_task_runs(tmp_path: Path) -> None:
    farm = Farm()
    script = f"import time; print('PROGRESS 0.25', flush=True); time.sleep({LONG})"
    work = farm.give(1, 2, per="batch", command=python(script))
    async with working(farm, tmp_path):
        await until(lambda: len(farm.results) == 2)
        first, second = (task["id"] for task in work["tasks"])
        assert farm.reports == [
            {"task_id": first, "state": "running", "progress": 0.25},
            {"task_id": second, "state": "running", "progress": 0.25},
        ]


async def test_progress_many_times_a_second_is_reported_seldom(tmp_path: Path) -> None:
    farm = Farm()
    script = "import time\nfor i in range(100): print(f'PROGRESS {i / 100}', flush=True)"
    work = farm.give(1, command=python(script))
    async with working(farm, tmp_path):
        await until(lambda: "done" in farm.states().values())
    assert len(farm.called(f"POST /assignments/{work['id']}/results")) == 1


async def test_the_command_hears_who_it_works_for(tmp_path: Path) -> None:
    farm, heard = Farm(), tmp_path / "heard"
    script = (
        "import os, sys; names = ['SHOT', 'FARMQUEUE_URL', 'FARMQUEUE_AGENT_ID']\n"
        "open(sys.argv[1], 'w').write(' '.join(os.environ[n] for n in names))"
    )
    farm.give(1, environ={"SHOT": "010"}, command=python(script, str(heard)))
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: farm.results)
    assert heard.read_text() == f"010 http://farm {agent.agent_id}"


async def test_work_is_kept_for_longer_than_its_first_lease(tmp_path: Path) -> None:
    farm, pid = Farm(heartbeat_seconds=0.1, lease_seconds=3), tmp_path / "pid"
    work = farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path) as [agent]:
        key = f"POST /agents/{agent.agent_id}/heartbeat"
        await until(lambda: agent.held and is_written(pid))
        assert agent.held is not None
        first = agent.held.lease
        await until(first.is_over)
        assert is_alive(pid)
        assert len(farm.called("POST /assign")) == 1
        assert {call.body["assignment_id"] for call in farm.called(key)} == {work["id"]}


async def test_what_the_heartbeat_says_to_stop_is_killed_and_dropped(tmp_path: Path) -> None:
    farm, pid = Farm(heartbeat_seconds=0.1), tmp_path / "pid"
    work = farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: is_written(pid))
        farm.held.clear()
        farm.stop = [work["id"]]
        await until(lambda: agent.held is None)
        assert not is_alive(pid)
        after = farm.give(2, command=python(""))
        await until(lambda: farm.results)
    assert farm.states() == {after["tasks"][0]["id"]: "done"}
    assert farm.released == []


async def test_a_stop_of_other_work_stops_nothing(tmp_path: Path) -> None:
    farm, pid = Farm(heartbeat_seconds=0.05, stop=[1, 2, 3]), tmp_path / "pid"
    farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: is_written(pid))
        beats = len(farm.called(f"POST /agents/{agent.agent_id}/heartbeat"))
        await until(
            lambda: len(farm.called(f"POST /agents/{agent.agent_id}/heartbeat")) > beats + 1
        )
        assert is_alive(pid)


async def test_a_result_that_comes_too_late_drops_the_rest_of_the_batch(tmp_path: Path) -> None:
    farm, go_on, pid = Farm(), tmp_path / "go-on", tmp_path / "pid"
    script = (
        "import os, sys, time\n"
        "if sys.argv[1] == '1':\n"
        "  while not os.path.exists(sys.argv[2]): time.sleep(0.01)\n"
        "else:\n"
        f"  f = open(sys.argv[3], 'w'); f.write(str(os.getpid())); f.close(); time.sleep({LONG})"
    )
    farm.give(1, 2, command=python(script, "{frame}", str(go_on), str(pid)))
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: farm.held)
        farm.held.clear()
        go_on.touch()
        await until(lambda: agent.held is None)
        assert not pid.exists() or not is_alive(pid)
    assert farm.results == {}
    assert farm.released == []


async def test_an_agent_does_not_ask_in_a_loop_for_what_it_cannot_keep(tmp_path: Path) -> None:
    farm = Farm(heartbeat_seconds=0.05)
    work = farm.give(1, command=python(f"import time; time.sleep({LONG})"))
    farm.stop = [work["id"]]
    async with working(farm, tmp_path, pause=LONG) as [agent]:
        await until(lambda: farm.held)
        await until(lambda: agent.held is None)
        await asyncio.sleep(0.05)
        assert len(farm.called("POST /assign")) == 1


async def test_an_agent_that_cannot_renew_its_lease_kills_what_it_runs(tmp_path: Path) -> None:
    farm, pid = Farm(heartbeat_seconds=0.1, lease_seconds=1), tmp_path / "pid"
    farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: is_written(pid))
        farm.away = True
        await until(lambda: agent.held is None)
        assert not is_alive(pid)
        farm.away = False


async def test_a_service_that_comes_back_gets_the_results(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "farmqueue.agent")
    farm, go_on = Farm(), tmp_path / "go-on"
    script = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    work = farm.give(1, command=python(script, str(go_on)))
    async with working(farm, tmp_path):
        await until(lambda: farm.held)
        farm.away = True
        polls = len(farm.called("POST /assign"))
        go_on.touch()
        await until(lambda: len(farm.called("POST /assign")) > polls + 1)
        assert farm.results == {}
        farm.away = False
        await until(lambda: "service answers again" in caplog.text)
    assert farm.states() == {work["tasks"][0]["id"]: "done"}
    assert caplog.text.count("service answers again") == 1


async def test_an_agent_starts_before_its_service(tmp_path: Path) -> None:
    farm = Farm(away=True)
    farm.give(1, command=python(""))
    async with working(farm, tmp_path):
        await until(lambda: len(farm.called("POST /agents")) > 1)
        farm.away = False
        await until(lambda: farm.results)


async def test_an_agent_that_was_forgotten_registers_again(tmp_path: Path) -> None:
    farm = Farm()
    async with working(farm, tmp_path):
        await until(lambda: farm.called("POST /assign"))
        farm.agents.clear()
        await until(lambda: farm.agents)
        assert len({call.body["id"] for call in farm.called("POST /agents")}) == 1


async def test_an_agent_forgotten_in_its_work_drops_it(tmp_path: Path) -> None:
    farm, pid = Farm(heartbeat_seconds=0.1), tmp_path / "pid"
    farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path):
        await until(lambda: is_written(pid))
        farm.agents.clear()
        farm.held.clear()
        await until(lambda: farm.agents)
        assert not is_alive(pid)


async def test_a_disabled_agent_asks_on_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "farmqueue.agent")
    farm = Farm(refuse={"POST /assign": problem(409, "agent_disabled")})
    farm.give(1, command=python(""))
    async with working(farm, tmp_path):
        await until(lambda: len(farm.called("POST /assign")) > 3)
        farm.refuse.clear()
        await until(lambda: farm.results)
    assert caplog.text.count("disabled by an operator") == 1
    assert caplog.text.count("enabled again") == 1


async def test_results_of_a_lost_assignment_are_not_sent_for_ever(tmp_path: Path) -> None:
    farm, go_on = Farm(), tmp_path / "go-on"
    script = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    farm.give(1, command=python(script, str(go_on)))
    async with working(farm, tmp_path):
        await until(lambda: farm.held)
        farm.held.clear()
        after = farm.give(2, command=python(""))
        go_on.touch()
        await until(lambda: farm.results)
    assert farm.states() == {after["tasks"][0]["id"]: "done"}


async def test_work_whose_results_are_refused_as_wrong_is_given_back(tmp_path: Path) -> None:
    farm, go_on = Farm(), tmp_path / "go-on"
    script = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    work = farm.give(1, command=python(script, str(go_on)))
    async with working(farm, tmp_path):
        await until(lambda: farm.held)
        wrong = problem(422, "invalid")
        farm.refuse |= {"POST /assign": wrong, f"POST /assignments/{work['id']}/results": wrong}
        go_on.touch()
        await until(lambda: farm.released)
        farm.refuse.clear()
    assert farm.released == [work["id"]]


async def test_an_agent_that_is_not_wanted_ends_with_the_reason(tmp_path: Path) -> None:
    farm = Farm(refuse={"POST /agents": problem(422, "invalid", "no such tag")})
    async with farm.async_client() as client:
        [agent] = slots(Options(state_dir=tmp_path), client)
        with pytest.raises(Invalid, match="no such tag"):
            await live(agent)
    assert paths(farm) == ["/agents"]


async def test_a_poll_that_finds_nothing_is_not_repeated_at_once(tmp_path: Path) -> None:
    farm = Farm()
    async with working(farm, tmp_path, pause=LONG):
        await until(lambda: farm.called("POST /assign"))
        await asyncio.sleep(0.05)
        assert len(farm.called("POST /assign")) == 1


async def test_a_stopping_agent_gives_back_what_it_has_not_done(tmp_path: Path) -> None:
    farm, pid = Farm(), tmp_path / "pid"
    script = (
        "import os, sys, time\n"
        "if sys.argv[1] == '2':\n"
        f"  f = open(sys.argv[2], 'w'); f.write(str(os.getpid())); f.close(); time.sleep({LONG})"
    )
    work = farm.give(1, 2, 3, command=python(script, "{frame}", str(pid)))
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: is_written(pid))
    assert not is_alive(pid)
    assert farm.states() == {work["tasks"][0]["id"]: "done"}
    assert farm.released == [work["id"]]
    assert farm.agents[agent.agent_id]["state"] == "offline"


async def test_a_stopping_agent_reports_what_the_service_has_not_heard(tmp_path: Path) -> None:
    farm, pid = Farm(), tmp_path / "pid"
    script = (
        "import os, sys, time\n"
        "if sys.argv[1] == '2':\n"
        f"  f = open(sys.argv[2], 'w'); f.write(str(os.getpid())); f.close(); time.sleep({LONG})"
    )
    work = farm.give(1, 2, command=python(script, "{frame}", str(pid)))
    key = f"POST /assignments/{work['id']}/results"
    farm.refuse[key] = problem(503, "unavailable")
    async with working(farm, tmp_path):
        await until(lambda: is_written(pid) and farm.called(key))
        farm.refuse.clear()
    assert farm.states() == {work["tasks"][0]["id"]: "done"}
    assert farm.released == [work["id"]]


async def test_a_stopping_agent_kills_before_it_gives_back(tmp_path: Path) -> None:
    farm, pid = Farm(), tmp_path / "pid"
    work = farm.give(1, command=sleeper(pid))
    lived: list[bool] = []
    serve = farm.handle

    def watch(request: Any) -> Any:
        if request.url.path == f"/assignments/{work['id']}/release":
            lived.append(is_alive(pid))
        return serve(request)

    farm.handle = watch  # type: ignore[method-assign]
    async with working(farm, tmp_path):
        await until(lambda: is_written(pid))
    assert lived == [False]


async def test_a_stopping_agent_does_not_wait_for_a_service_that_is_away(tmp_path: Path) -> None:
    farm, pid = Farm(), tmp_path / "pid"
    farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path, farewell=LONG):
        await until(lambda: is_written(pid))
        farm.away = True
    assert not is_alive(pid)


async def test_a_stopping_agent_does_not_wait_for_an_answer_for_ever(tmp_path: Path) -> None:
    farm, pid = Farm(), tmp_path / "pid"
    farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path, farewell=0.1):
        await until(lambda: is_written(pid))
        farm.silent = True
    assert not is_alive(pid)
    assert farm.released == []


async def test_an_agent_whose_heartbeat_gets_no_answer_kills_what_it_runs(tmp_path: Path) -> None:
    farm, pid = Farm(heartbeat_seconds=0.1, lease_seconds=1), tmp_path / "pid"
    farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path, farewell=0.1) as [agent]:
        await until(lambda: is_written(pid))
        farm.silent = True
        await until(lambda: agent.held is None)
        assert not is_alive(pid)


async def test_work_that_ended_leaves_no_trace_for_the_next_start(tmp_path: Path) -> None:
    farm = Farm()
    go_on = tmp_path / "go-on"
    script = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    farm.give(1, command=python(script, str(go_on)))
    async with working(farm, tmp_path):
        await until(lambda: is_written(tmp_path / "slot-0.running"))
        go_on.touch()
        await until(lambda: farm.results)
    assert not is_written(tmp_path / "slot-0.running")


async def test_the_slots_of_a_process_are_agents_of_their_own(tmp_path: Path) -> None:
    farm = Farm()
    async with working(farm, tmp_path, slots=3, cpus=8, ram=3000):
        await until(lambda: len(farm.agents) == 3)
    assert sorted(agent["cpus"] for agent in farm.agents.values()) == [2, 3, 3]
    assert {agent["ram"] for agent in farm.agents.values()} == {1000}


async def test_the_slots_of_a_process_work_at_the_same_time(tmp_path: Path) -> None:
    farm = Farm()
    for slot in range(2):
        farm.give(1, command=sleeper(tmp_path / str(slot)))
    async with working(farm, tmp_path, slots=2):
        await until(lambda: all(is_written(tmp_path / str(slot)) for slot in range(2)))
        assert all(is_alive(tmp_path / str(slot)) for slot in range(2))
        assert len(farm.held) == 2


async def test_a_restarted_agent_is_the_same_agent(tmp_path: Path) -> None:
    farm = Farm()
    for _ in range(2):
        async with working(farm, tmp_path, slots=2):
            await until(lambda: all(a["state"] == "online" for a in farm.agents.values()))
            await until(lambda: len(farm.agents) == 2)
    assert len(farm.agents) == 2


async def test_the_service_has_the_last_word_on_who_an_agent_is(tmp_path: Path) -> None:
    farm = Farm(answers={"POST /agents": {"id": "6f1ed002-ab5d-4aa8-8f9f-a8a8f5b1d5f0"}})
    async with working(farm, tmp_path):
        await until(lambda: farm.called("POST /assign"))
    [agent] = slots(Options(state_dir=tmp_path), farm.async_client())
    assert agent.agent_id == "6f1ed002-ab5d-4aa8-8f9f-a8a8f5b1d5f0"
    assert farm.called("POST /assign")[0].body["agent_id"] == agent.agent_id


async def test_a_fault_of_the_agent_fails_the_task_and_ends_no_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object, **__: object) -> None:
        raise MemoryError("too much")

    farm = Farm()
    first = farm.give(1, command=python(""))
    async with working(farm, tmp_path):
        with monkeypatch.context() as broken:
            broken.setattr("farmqueue.agent.process.run", breaks)
            await until(lambda: farm.results)
        after = farm.give(2, command=python(""))
        await until(lambda: len(farm.results) == 2)
    states = farm.states()
    assert states[first["tasks"][0]["id"]] == "failed"
    assert states[after["tasks"][0]["id"]] == "done"


async def test_a_404_of_a_proxy_is_a_service_that_is_away(tmp_path: Path) -> None:
    farm, pid = Farm(heartbeat_seconds=0.05), tmp_path / "pid"
    farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: is_written(pid))
        key = f"POST /agents/{agent.agent_id}/heartbeat"
        farm.refuse[key] = httpx.Response(404, text="404 page not found")
        beats = len(farm.called(key))
        await until(lambda: len(farm.called(key)) >= beats + 2)
        assert is_alive(pid)
        del farm.refuse[key]


async def test_what_ended_before_the_lease_ran_out_is_told_all_the_same(tmp_path: Path) -> None:
    farm = Farm(heartbeat_seconds=0.1, lease_seconds=1)
    script = f"import sys, time\nif sys.argv[1] == '2': time.sleep({LONG})"
    work = farm.give(1, 2, command=python(script, "{frame}"))
    results = f"POST /assignments/{work['id']}/results"
    farm.refuse[results] = problem(503, "unavailable")
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: agent.held is not None and agent.held.only_ended())
        held = agent.held
        farm.away = True
        await until(lambda: agent.held is not held)
        farm.away = False
        await until(lambda: farm.results)
    assert farm.results[work["tasks"][0]["id"]]["state"] == "done"


async def test_the_last_progress_is_told_though_it_came_soon_after_another(tmp_path: Path) -> None:
    farm, go_on = Farm(), tmp_path / "go-on"
    script = (
        "import os, sys, time\n"
        "for share in (0.1, 0.2, 0.9): print('PROGRESS', share, flush=True)\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    )
    farm.give(1, command=python(script, str(go_on)))
    async with working(farm, tmp_path):
        await until(lambda: any(result.get("progress") == 0.9 for result in farm.reports))
        go_on.touch()


async def test_very_many_failures_fit_into_one_report(tmp_path: Path) -> None:
    farm = Farm()
    script = "import sys; print('x' * 20_000); sys.exit(3)"
    farm.give(*range(1, 5_001), command=python(script), per="batch")
    async with working(farm, tmp_path):
        await until(lambda: len(farm.results) == 5_000)
    assert sum(len(result["error"]) for result in farm.results.values()) < 4_000_000


async def test_an_agent_told_to_stop_while_it_ends_what_was_taken_back_stops(
    tmp_path: Path,
) -> None:
    farm, heard = Farm(heartbeat_seconds=0.1), tmp_path / "heard"
    script = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: pathlib.Path(sys.argv[1]).touch())\n"
        "print('PROGRESS 0.5', flush=True)\n"
        f"while True: time.sleep({LONG})"
    )
    work = farm.give(1, command=python(script, str(heard)))
    async with working(farm, tmp_path, grace=2):
        await until(lambda: farm.reports)
        farm.held.clear()
        after = farm.give(2, command=python(""))
        farm.stop = [work["id"]]
        await until(heard.exists)
    assert after["tasks"][0]["id"] not in farm.results
    assert farm.held == {}
