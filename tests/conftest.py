"""Shared fixtures: where other people's data lies, and the instant at which the tests take place."""

import inspect
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

from tests.live import serving

# How long an example takes depends on who else uses the machine; no test is about time.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")

# httpx gives an answer five seconds; a machine that runs two tests and their servers may take longer.
inspect.signature(httpx.get).parameters["timeout"].default.read = 60.0

ROOT = Path(__file__).resolve().parent.parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where the slow tests are left out, the libraries that only they need are not even imported."""
    only_slow = (ROOT / "tests" / "browser", ROOT / "tests" / "hardening" / "test_openapi.py")
    left_out = config.option.markexpr == "not slow" and collection_path in only_slow
    return True if left_out else None


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable) or default)
    if not folder.is_dir():
        pytest.skip(f"{folder.name} folder of other people's data is not here; set {variable} to its path")
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real patients, training tables and published fixtures; the test is skipped where it is absent."""
    return _folder("CDS_DATA_DIR", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def spec_folder() -> Path:
    """The folder of official examples and the R4 schema; the test is skipped where it is absent."""
    return _folder("CDS_SPEC_DIR", ROOT.parent / "shared" / "spec")


@pytest.fixture
def as_of() -> datetime:
    """The instant at which every test without one of its own takes place."""
    return datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of the shared server; its record is decisions.sqlite3."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[str]:
    """The address of a real server with a record of its own, shared by one file: an answered card is remembered."""
    with serving(server_folder) as address:
        yield address
