"""The pages of a server, which are made when the first of them is opened.

Nobody opens a page before the first calls are answered, and many workers never show one. Importing what the pages need
takes 0.06 s of a start and 6 MB (`python -m benchmarks --only start`).
"""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class LatePages:
    """Passes each request on to the pages, which the first request makes."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        """`make` imports and makes the pages; it is called once, in a thread."""
        self._make = make
        self._pages: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._making:
            if self._pages is None:
                self._pages = await asyncio.to_thread(self._make)
        await self._pages(scope, receive, send)
