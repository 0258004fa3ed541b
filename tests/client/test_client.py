"""The client: what goes out, what comes back, what is raised."""

import json
import re
from typing import Any

import httpx
import pytest

from farmqueue import AsyncClient, Client, calls, errors
from farmqueue.client import DEFAULT_URL
from tests.client.farm import answering, problem


class Recorder:
    """Answers everything with the same body and keeps the requests."""

    def __init__(self, *bodies: Any) -> None:
        self.requests: list[httpx.Request] = []
        self._bodies = list(bodies) or [{}]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        body = self._bodies[min(len(self.requests), len(self._bodies)) - 1]
        return httpx.Response(200, json=body)

    @property
    def last(self) -> httpx.Request:
        return self.requests[-1]

    @property
    def last_body(self) -> Any:
        return json.loads(self.last.content)


def client_of(recorder: Recorder, url: str = "http://farm") -> Client:
    return Client(url, transport=httpx.MockTransport(recorder))


def async_client_of(recorder: Recorder) -> AsyncClient:
    async def handle(request: httpx.Request) -> httpx.Response:
        return recorder(request)

    return AsyncClient("http://farm", transport=httpx.MockTransport(handle))


def methods(of: type) -> set[str]:
    return {name for name in vars(of) if not name.startswith("_")}


def test_both_clients_offer_the_same_methods() -> None:
    assert methods(Client) == methods(AsyncClient)


def test_every_described_call_is_a_method() -> None:
    described = {
        name
        for name, call in vars(calls).items()
        if callable(call) and getattr(call, "__module__", "") == calls.__name__
        if name[0].islower()
    }
    assert described - {"Call"} <= methods(Client)


def test_a_request_goes_below_the_path_of_the_address() -> None:
    recorder = Recorder()
    client_of(recorder, "http://proxy/farm/").job(7)
    assert str(recorder.last.url) == "http://proxy/farm/jobs/7"


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARMQUEUE_URL", "http://elsewhere:1")
    assert Client().url == "http://elsewhere:1"
    assert Client("http://here").url == "http://here"


def test_the_address_is_that_of_a_local_service_when_nothing_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FARMQUEUE_URL", raising=False)
    assert Client().url == "http://127.0.0.1:8000"


def test_a_token_is_sent_as_bearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARMQUEUE_TOKEN", "from-the-environment")
    recorder = Recorder()
    client_of(recorder).job(1)
    assert recorder.last.headers["authorization"] == "Bearer from-the-environment"
    transport = httpx.MockTransport(recorder)
    Client("http://farm", token="given", transport=transport).job(1)
    assert recorder.last.headers["authorization"] == "Bearer given"


def test_a_token_is_sent_without_the_line_end_of_its_file() -> None:
    recorder = Recorder()
    transport = httpx.MockTransport(recorder)
    Client("http://farm", token="given\n", transport=transport).job(1)
    assert recorder.last.headers["authorization"] == "Bearer given"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("token", ["hush\nhush", "hush\x00", "hüsh hush"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(
    kind: type[Client] | type[AsyncClient], token: str
) -> None:
    with pytest.raises(errors.Misconfigured, match="FARMQUEUE_TOKEN") as caught:
        kind("http://farm", token=token)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", ["localhost:8790", "farm", "//farm", "ftp://farm", "http://"])
def test_an_address_that_is_none_is_refused_with_what_to_write(
    kind: type[Client] | type[AsyncClient], url: str
) -> None:
    with pytest.raises(errors.Misconfigured, match=re.escape(DEFAULT_URL)):
        kind(url)


@pytest.mark.parametrize("url", ["u:hush@farm:1", "ftp://u:hush@farm", "http://u:hush/hush@farm"])
def test_a_password_in_an_address_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(errors.Misconfigured) as caught:
        Client(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    "answer", [httpx.Response(502), httpx.Response(200, text="<html>"), httpx.ConnectError("no")]
)
def test_a_password_in_the_address_is_not_shown(answer: httpx.Response | Exception) -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = Client("http://u:hush@farm", transport=httpx.MockTransport(handle))
    with pytest.raises(errors.Unavailable, match="http://farm/jobs/1") as caught:
        client.job(1)
    assert "hush" not in str(caught.value)


def test_without_a_token_no_authorization_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FARMQUEUE_TOKEN", raising=False)
    recorder = Recorder()
    client_of(recorder).job(1)
    assert "authorization" not in recorder.last.headers


def test_a_list_is_fetched_page_by_page() -> None:
    recorder = Recorder({"items": [1, 2], "next": "2"}, {"items": [3], "next": None})
    found: list[Any] = list(client_of(recorder).jobs(state="running"))
    assert found == [1, 2, 3]
    sent = [dict(request.url.params) for request in recorder.requests]
    assert sent == [{"state": "running"}, {"state": "running", "cursor": "2"}]


async def test_a_list_is_fetched_page_by_page_without_blocking() -> None:
    recorder = Recorder({"items": [1, 2], "next": "2"}, {"items": [3], "next": None})
    async with async_client_of(recorder) as client:
        found: list[Any] = [job async for job in client.jobs()]
    assert found == [1, 2, 3]


def test_a_page_that_nobody_reads_is_not_fetched() -> None:
    recorder = Recorder({"items": [1], "next": "1"})
    assert next(client_of(recorder).jobs()) == 1  # type: ignore[comparison-overlap]
    assert len(recorder.requests) == 1


def test_a_limit_is_lifted_by_sending_null_and_kept_by_sending_nothing() -> None:
    recorder = Recorder()
    client_of(recorder).change_queue(3, maximum_agents=None)
    assert recorder.last_body == {"maximum_agents": None}


def test_a_poll_is_waited_for_longer_than_it_may_be_held() -> None:
    recorder = Recorder()
    client = client_of(recorder)
    client.job(1)
    ordinary = recorder.last.extensions["timeout"]["read"]
    client.assign("a", wait=60)
    assert recorder.last.extensions["timeout"]["read"] == ordinary + 60


def test_results_name_the_assignment_they_belong_to() -> None:
    recorder = Recorder()
    client_of(recorder).assign(
        "a", results=[{"task_id": 1, "state": "done"}], assignment_id=9, free_ram=64
    )
    assert recorder.last_body == {
        "agent_id": "a",
        "wait": 0,
        "free_ram": 64,
        "results": [{"task_id": 1, "state": "done"}],
        "assignment_id": 9,
    }


def test_a_poll_without_results_names_no_assignment() -> None:
    recorder = Recorder()
    client_of(recorder).assign("a")
    assert recorder.last_body == {"agent_id": "a", "wait": 0}


def test_an_agent_id_stays_one_part_of_the_path() -> None:
    recorder = Recorder()
    client_of(recorder).agent("../jobs?x")
    assert recorder.last.url.raw_path == b"/agents/..%2Fjobs%3Fx"


def test_no_content_is_none() -> None:
    assert Client("http://farm", transport=answering(httpx.Response(204))).assign("a") is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Invalid),
        (401, errors.Forbidden),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.Invalid),
        (422, errors.Invalid),
        (429, errors.Unavailable),
        (500, errors.Unavailable),
        (503, errors.Unavailable),
    ],
)
def test_a_status_is_raised_as_its_kind(status: int, kind: type[errors.FarmqueueError]) -> None:
    client = Client("http://farm", transport=answering(problem(status, "some_code", "because")))
    with pytest.raises(kind) as caught:
        client.job(1)
    assert (caught.value.code, caught.value.status) == ("some_code", status)
    assert str(caught.value) == "because"


def test_wrong_fields_are_named() -> None:
    wrong = [{"field": "weight", "message": "too heavy"}]
    answer = problem(422, "invalid", "the request is wrong", errors=wrong)
    with pytest.raises(errors.Invalid) as caught:
        Client("http://farm", transport=answering(answer)).create_queue("films", weight=-1)
    assert caught.value.errors == ({"field": "weight", "message": "too heavy"},)
    assert str(caught.value) == "the request is wrong\n  weight: too heavy"


def test_a_wrong_field_that_the_detail_tells_is_not_told_twice() -> None:
    wrong = [{"field": "weight", "message": "too heavy"}]
    answer = problem(422, "invalid", "weight: too heavy", errors=wrong)
    with pytest.raises(errors.Invalid) as caught:
        Client("http://farm", transport=answering(answer)).create_queue("films", weight=-1)
    assert str(caught.value) == "weight: too heavy"


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"[]", b'{"errors": [1, "x"]}'])
def test_an_error_of_a_proxy_is_an_error_too(body: bytes) -> None:
    answer = httpx.Response(502, content=body)
    with pytest.raises(errors.Unavailable, match="answered 502 Bad Gateway") as caught:
        Client("http://farm", transport=answering(answer)).job(1)
    assert caught.value.code == "http_502"


def test_a_page_that_is_no_farm_is_said_to_be_none() -> None:
    answer = httpx.Response(200, text="<html>it works!</html>")
    with pytest.raises(errors.Unavailable, match="is this a farmqueue service"):
        Client("http://farm", transport=answering(answer)).job(1)


async def test_no_answer_is_unavailable_for_both_clients() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    async def refuse_async(request: httpx.Request) -> httpx.Response:
        return refuse(request)

    with pytest.raises(errors.Unavailable, match="http://farm/jobs/1: connection refused"):
        Client("http://farm", transport=httpx.MockTransport(refuse)).job(1)
    async with AsyncClient("http://farm", transport=httpx.MockTransport(refuse_async)) as client:
        with pytest.raises(errors.Unavailable, match="http://farm/jobs/1: connection refused"):
            await client.job(1)


def test_signatures_and_contracts_survive() -> None:
    assert Client.submit.__doc__ == "Submit a job."
    assert AsyncClient.submit.__doc__ == "Submit a job."


def test_a_poll_that_a_stopping_service_sends_away_is_one_to_make_again() -> None:
    away = httpx.Response(204, headers={"Retry-After": "3"})
    with pytest.raises(errors.Unavailable) as raised:
        Client("http://farm", transport=answering(away)).assign("a1", wait=30)
    assert raised.value.retry_after == 3
