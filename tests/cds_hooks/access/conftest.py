"""The tests of the login run on one event loop, asyncio's."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
