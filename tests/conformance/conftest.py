"""Servers for the conformance tests: as it is without settings, and as a site with a trust file has it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.answers import AS_OF, Answers, answers_of
from tests.conformance.outside import Json, Outside

Opened = Callable[..., Outside]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(*ids): rows of the CDS Hooks checklist that a test shows")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """The server in its development profile."""
    opened = Outside(tmp_path_factory.mktemp("conformance"), as_of=AS_OF, fetch_milliseconds=10_000)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def discovery(server: Outside) -> list[Json]:
    """The entries of discovery."""
    entries: list[Json] = server.discovery()
    return entries


@pytest.fixture(scope="session")
def answers(server: Outside) -> Answers:
    """The answers to every sample patient."""
    return answers_of(server)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens servers with settings of their own; closed at the end of the test."""
    servers: list[Outside] = []

    def open_(**settings: Any) -> Outside:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        servers.append(Outside(folder, **{"as_of": AS_OF, "fetch_milliseconds": 10_000, **settings}))
        return servers[-1]

    yield open_
    for server in servers:
        server.close()
