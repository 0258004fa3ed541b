"""The docs pages in a real browser that can reach nothing but the service."""

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from app import docs_pages
from app.main import create_app
from app.settings import Settings
from tests.api.chromium import opened
from tests.processes import service
from tests.tokens import ADMIN_TOKEN

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The first line is the offline farm; the others keep the browser from talking about itself.
BROWSER_OPTIONS = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=20000",
)
PAGES = ("/docs", "/redoc")


def farm() -> FastAPI:
    """The service; nothing of its pages asks the database, so that there is none."""
    return create_app(Settings(), "postgresql+asyncpg://nowhere.invalid/farm")


def summaries() -> list[str]:
    """What each operation is called."""
    operations = (path.values() for path in farm().openapi()["paths"].values())
    return [operation["summary"] for path in operations for operation in path]


@contextmanager
def served(app: FastAPI, root_path: str = "") -> Iterator[str]:
    """The app behind a real server on loopback; gives its URL."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, root_path=root_path, lifespan="off", ws="none", log_level="warning"
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail(f"no {BROWSERS[0]} on PATH: `make browser` installs it", pytrace=False)
    return found


def rendered(browser: str, url: str, profile: Path) -> tuple[str, list[str]]:
    """The page's DOM after its scripts have run, and every URL that the page asked for."""
    log = profile / "net.json"
    page = subprocess.run(
        [
            browser,
            *BROWSER_OPTIONS,
            f"--user-data-dir={profile}",
            f"--log-net-log={log}",
            "--dump-dom",
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    return page.stdout, requests_by_the_page(json.loads(log.read_text()), url)


def requests_by_the_page(net_log: dict[str, Any], url: str) -> list[str]:
    """URLs that the document asked for; those of the browser itself have no such initiator."""
    started = net_log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    jobs = [event.get("params", {}) for event in net_log["events"] if event["type"] == started]
    origin = url.rpartition("/")[0]
    return [job["url"] for job in jobs if job.get("initiator") == origin]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_operations_and_asks_no_other_host(
    page: str, browser: str, tmp_path: Path
) -> None:
    with served(farm()) as url:
        dom, requests = rendered(browser, url + page, tmp_path)

    body = dom.partition("<body")[2]
    assert [summary for summary in summaries() if escape(summary, quote=False) not in body] == []
    assert f"{url}/openapi.json" in requests
    assert [request for request in requests if not request.startswith((f"{url}/", "data:"))] == []


LISTS_QUEUES = '.opblock-get:has([data-path="/jobqueues"])'


def test_a_token_that_is_pasted_into_authorize_goes_with_what_is_tried_out(
    browser: str, database: str, tmp_path: Path
) -> None:
    options = tuple(one for one in BROWSER_OPTIONS if "virtual-time" not in one)
    with (
        service(database, tmp_path / "log") as url,
        opened(browser, options, tmp_path / "profile", f"{url}/docs") as page,
    ):
        page.click(f"{LISTS_QUEUES} .opblock-summary-control")
        page.click(f"{LISTS_QUEUES} .try-out__btn")
        page.click(f"{LISTS_QUEUES} .execute")
        status = f"{LISTS_QUEUES} .live-responses-table tbody .response-col_status"
        assert page.text(status).split()[0] == "401"
        page.click(".scheme-container .btn.authorize")
        page.paste(".auth-container input", ADMIN_TOKEN)
        page.click(".auth-btn-wrapper .authorize")
        page.click(".auth-btn-wrapper .btn-done")
        page.click(f"{LISTS_QUEUES} .btn-clear")
        page.click(f"{LISTS_QUEUES} .execute")
        assert page.text(status).split()[0] == "200"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_url_of_another_host(page: str) -> None:
    with served(farm()) as url:
        html = httpx.get(url + page).text

    assert "/openapi.json" in html
    assert re.findall(r"//[\w.-]+", html) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_forbids_the_browser_every_other_host(page: str) -> None:
    with served(farm()) as url:
        policy = httpx.get(url + page).headers["Content-Security-Policy"]

    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "*" not in policy


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_under_the_prefix_that_a_proxy_strips(page: str) -> None:
    with served(farm(), root_path="/farm") as url:
        html = httpx.get(url + page).text
        links = [part.partition('"')[0] for part in html.split('="/farm')[1:]]
        answers = [httpx.get(url + link).status_code for link in links]

    assert "/farm/openapi.json" in html
    assert len(links) >= 2
    assert set(answers) == {200}


def test_an_unchanged_file_is_not_sent_again() -> None:
    with served(farm()) as url:
        asset = f"{url}/static/swagger-ui/swagger-ui.css"
        etag = httpx.get(asset).headers["ETag"]
        again = httpx.get(asset, headers={"If-None-Match": etag})

    assert again.status_code == 304


def test_an_app_that_keeps_the_pages_with_a_cdn_is_refused() -> None:
    with pytest.raises(ValueError, match="docs_url=None"):
        docs_pages.mount(FastAPI())


def test_the_vendored_files_are_those_of_their_packages() -> None:
    lines = (docs_pages.STATIC / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in map(str.split, lines)}
    present = {
        path.relative_to(docs_pages.STATIC).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in docs_pages.STATIC.glob("*/*")
    }

    assert present == listed
