"""A browser, a running server and decisions in its record; skipped with a sentence where there is no browser."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import Response as PageResponse

from cds_hooks.server.app import create_app
from tests.browser.looking import wait_for_autofocus
from tests.cds_hooks.calls import ORDERS, PLANNING, ours, request_for
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.constants import settings_with
from tests.waiting import MOST_SECONDS

_MILLISECONDS = MOST_SECONDS * 1000
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def site(documentation: Path) -> Path:
    """The documentation of this checkout with the pages that are made from the code."""
    return documentation


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as the system has it; closed with each file, because no other test can have an event loop until then."""
    program = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium is installed here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        # inside a container root is not allowed Chromium's own sandbox; it only opens our own pages
        options = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        launched = playwright.chromium.launch(executable_path=program, args=options, timeout=_MILLISECONDS)
        expect.set_options(timeout=_MILLISECONDS)
        yield launched
        launched.close()


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[str]:
    """The address of the real server on a free port of loopback, its record in a folder, until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    given = {
        "database_url": f"sqlite:///{folder}/decisions.sqlite3",
        "counts_file": folder / "counts.sqlite3",
        "as_of": AS_OF,
        **settings,
    }
    if given.get("login", "none") != "none":
        given = {"public_url": url, **given}
    # made in the thread in which it runs, as in a process of its own: SQLite asks for it
    make = partial(create_app, settings_with(**given))
    server = uvicorn.Server(uvicorn.Config(make, factory=True, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    httpx.get(f"{url}/livez", timeout=180)
    yield url
    server.should_exit = True
    thread.join(MOST_SECONDS)
    listening.close()


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real server in the development profile."""
    with running(tmp_path_factory.mktemp("record")) as url:
        yield url


@pytest.fixture(scope="module")
def pages(base_url: str) -> dict[str, str]:
    """The address of every kind of page, by a word for it."""

    def decided(sample: str, draft: str | None = None) -> str:
        service, hook = (ORDERS, "order-select") if draft else (PLANNING, "patient-view")
        answer = httpx.post(f"{base_url}/cds-services/{service}", json=request_for(service, hook, sample, AS_OF, draft))
        return f"{base_url}/explain/{ours(answer)['decision']}"

    return {
        "estimate": decided("planning-talk"),
        "gaps": decided("ckd3b-metformin"),
        "silent": decided("infant"),
        "order": decided("ckd4-metformin", "metformin-ckd4-coded"),
        "messy": decided("messy-record", "naproxen-messy"),
        "model": f"{base_url}/models/mortality_5y",
        "models": f"{base_url}/models",
        "rule": f"{base_url}/rules/renal-metformin",
        "missing": f"{base_url}/explain/nobody",
    }


def _is_here(asked: str, *servers: str) -> bool:
    """Whether an address is of one of these servers."""
    return urlsplit(asked).netloc in {urlsplit(each).netloc for each in servers}


@pytest.fixture
def opened(browser: Browser, base_url: str) -> Iterator[Callable[..., Page]]:
    """Opens an address in a browser of its own; a word on its console or a request to another host fails the test."""
    contexts: list[BrowserContext] = []
    heard: list[str] = []
    refused: set[tuple[int, str]] = set()

    def open_(url: str, width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("console", lambda message: heard.append(f"console: {message.text} {message.location['url']}"))
        page.on("response", lambda answer: _note_refusal(refused, answer))
        page.on(
            "request", lambda request: heard.append(request.url) if not _is_here(request.url, base_url, url) else None
        )
        answer = page.goto(url)
        assert answer is not None
        wait_for_autofocus(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    # Chromium itself notes on the console that a page was answered with 404, or a form with 400
    assert [each for each in heard if not any(_is_note_of(each, one) for one in refused)] == []


def _note_refusal(refused: set[tuple[int, str]], answer: PageResponse) -> None:
    if answer.request.is_navigation_request() and answer.status >= 400:
        refused.add((answer.status, answer.url))


def _is_note_of(heard: str, refused: tuple[int, str]) -> bool:
    status, url = refused
    return f"status of {status}" in heard and heard.endswith(f" {url}")
