"""`farmqueue watch`: jobs followed until they end."""

import subprocess
import sys

import httpx
import pytest

from tests.client.desk import Desk, Json, job
from tests.client.farm import Farm, listening


@pytest.fixture
def desk() -> Desk:
    return Desk()


def progress(desk: Desk, *states: Json) -> None:
    """Each look at a job finds the next of these, and the last for ever."""
    looks: dict[str, int] = {}
    serve = desk.farm.handle

    def handle(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        own = [state for state in states if path == f"/jobs/{state['id']}"]
        if not own:
            return serve(request)
        looks[path] = looks.get(path, 0) + 1
        return httpx.Response(200, json=own[min(looks[path], len(own)) - 1])

    desk.farm.handle = handle  # type: ignore[method-assign]


def counts(done: int, failed: int = 0, total: int = 10) -> Json:
    return {"waiting": total - done - failed, "running": 0, "done": done, "failed": failed}


def test_a_job_is_watched_until_it_is_done(desk: Desk) -> None:
    progress(
        desk,
        job(state="queued", tasks=counts(0)),
        job(state="running", tasks=counts(3)),
        job(state="running", tasks=counts(3)),
        job(state="done", tasks=counts(10)),
    )
    result = desk.types("watch", "12", "--every", "0.01")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "12\tqueued\t0\t0\t10",
        "12\trunning\t3\t0\t10",
        "12\tdone\t10\t0\t10",
    ]


def test_a_failed_job_is_an_exit_code_of_1_and_the_others_are_watched_on(desk: Desk) -> None:
    progress(
        desk,
        job(id=1, state="failed", tasks=counts(8, 2)),
        job(id=2, state="running", tasks=counts(1)),
        job(id=2, state="done", tasks=counts(10)),
    )
    result = desk.types("watch", "1", "2", "--every", "0.01")
    assert result.exit_code == 1
    assert "job 1 failed: 2 of 10 tasks" in result.stderr
    assert "2\tdone\t10\t0\t10" in result.stdout.splitlines()


def test_a_job_that_waits_for_a_failed_one_will_not_be_done(desk: Desk) -> None:
    blocking = [{"id": 11, "title": "sim", "state": "failed"}]
    progress(desk, job(state="queued", blocked_by=blocking))
    result = desk.types("watch", "12")
    assert result.exit_code == 1
    assert "job 12 will not run: it waits for 11" in result.stderr


def test_a_job_behind_one_that_waits_for_a_failed_one_will_not_be_done(desk: Desk) -> None:
    between = [{"id": 11, "title": "sim", "state": "queued"}]
    behind = [{"id": 10, "title": "model", "state": "failed"}]
    progress(
        desk,
        job(state="queued", blocked_by=between),
        job(id=11, state="queued", blocked_by=behind),
    )
    assert desk.types("watch", "12").exit_code == 1


def test_a_job_that_waits_for_one_at_work_is_watched_on(desk: Desk) -> None:
    blocking = [{"id": 11, "title": "sim", "state": "running"}]
    progress(desk, job(state="queued", blocked_by=blocking), job(state="done"))
    assert desk.types("watch", "12", "--every", "0.01").exit_code == 0


def test_a_job_that_is_not_there_cannot_be_watched(desk: Desk) -> None:
    desk.refuses("GET /jobs/12", 404, "job_not_found")
    assert desk.types("watch", "12").exit_code == 3


def test_watching_outlasts_a_service_that_is_away(desk: Desk) -> None:
    answers = [httpx.Response(503), httpx.Response(200, json=job(state="done"))]
    desk.farm.handle = lambda request: answers.pop(0)  # type: ignore[method-assign]  # noqa: ARG005
    result = desk.types("watch", "12")
    assert result.exit_code == 0, result.stderr
    assert "trying again" in result.stderr


def test_people_see_a_bar_for_each_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmqueue.cli.watch.for_people", lambda: True)
    progress(desk, job(title="[shot]", tasks=counts(3)), job(state="done", tasks=counts(10)))
    result = desk.types("watch", "12", "--every", "0.01")
    assert result.exit_code == 0, result.stderr
    assert "12 [shot]" in result.stdout
    assert "10/10 done" in result.stdout


def test_a_job_that_never_ends_is_given_up_when_time_is_up(desk: Desk) -> None:
    progress(
        desk, job(state="done", id=1), job(id=2, state="queued", reason="no agent has the tag")
    )
    result = desk.types("watch", "1", "2", "--every", "0.01", "--timeout", "0.05")
    assert result.exit_code == 1
    assert "time is up, and these have not ended: 2" in result.stderr


def test_a_service_that_says_nothing_is_given_up_when_time_is_up(desk: Desk) -> None:
    desk.refuses("GET /jobs/12", 503, "unavailable", detail="it restarts")
    result = desk.types("watch", "12", "--timeout", "0.2")
    assert result.exit_code == 6
    assert "it restarts" in result.stderr


def test_a_pipe_hears_of_each_change_when_it_happens() -> None:
    farm = Farm()
    farm.answers["GET /jobs/12"] = job(state="queued", tasks=counts(0))
    with listening(farm) as url:
        command = [sys.executable, "-m", "farmqueue", "watch", "12", "--every", "0.05"]
        pipe = subprocess.PIPE
        with subprocess.Popen([*command, "--url", url], stdout=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "12\tqueued\t0\t0\t10\n"
            farm.answers["GET /jobs/12"] = job(state="done", tasks=counts(10))
            assert process.stdout.readline() == "12\tdone\t10\t0\t10\n"
            assert process.wait() == 0
