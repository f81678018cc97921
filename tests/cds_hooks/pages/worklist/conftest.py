"""The tests of the page run on one event loop, asyncio's."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
