"""Takes HL7 v2 messages from files that a sender moves into a folder.

A sender writes a file elsewhere on the same file system, or under a name that begins with a point, and moves it into
the folder whole. What was taken goes to `done`, and what held a message that could not be read to `dead`, both below
the folder. A file that was read when the server ended is read again, which has no second effect.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from cds_hooks.add_ons.events.declaration import FolderFeed
from cds_hooks.add_ons.events.inbox import Incoming, Taken
from cds_hooks.add_ons.events.v2.intake import read_frame
from cds_hooks.telemetry.logs import log

_POLL_SECONDS: Final = 2.0
_AT_ONCE: Final = 100


class FolderListener:
    """Takes the files of one feed, the oldest first."""

    def __init__(
        self, feed: FolderFeed, take: Callable[[list[Incoming]], Awaitable[list[Taken]]], now: Callable[[], float]
    ) -> None:
        self._feed, self._folder, self._take, self._now = feed, Path(feed.folder), take, now
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Begin to look for files. There is no port."""
        self._task = asyncio.create_task(self._keep_taking())
        log().info("feed listens", client=self._feed.name)
        return 0

    async def stop(self) -> None:
        """Take no further file."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_taking(self) -> None:
        while True:
            try:
                files = await self.take_files()
            except Exception as error:  # a full disk, a folder that may not be written: said, and tried again
                log().error("files of a feed not taken", client=self._feed.name, error_type=type(error).__name__)
                files = 0
            await asyncio.sleep(0 if files == _AT_ONCE else _POLL_SECONDS)

    async def take_files(self) -> int:
        """Take the files that are there, and return how many they were."""
        files = await asyncio.to_thread(self._files)
        for file in files:
            readings = await asyncio.to_thread(self._read, file)
            outcomes = await self._take(readings)
            is_dead = any(outcome.state == "dead" for outcome in outcomes)
            await asyncio.to_thread(self._put_away, file, "dead" if is_dead else "done")
        return len(files)

    def _files(self) -> list[Path]:
        """Return the oldest files; links, folders and names that begin with a point are none."""
        by_age = [
            (file.stat().st_mtime, file.name, file)
            for file in self._folder.iterdir()
            if not file.name.startswith(".") and file.is_file() and not file.is_symlink()
        ]
        return [file for _, _, file in sorted(by_age)[:_AT_ONCE]]

    def _read(self, file: Path) -> list[Incoming]:
        now = self._now()
        with file.open("rb") as opened:
            content = opened.read(self._feed.frame_bytes + 1)
        if len(content) > self._feed.frame_bytes:
            fault = f"The file has more than {self._feed.frame_bytes:,} bytes; it lies in the folder dead."
            return [Incoming(self._feed.name, file.name[:199], "", b"", now, fault=fault)]
        return [reading.incoming for reading in read_frame(content, self._feed, now)]

    def _put_away(self, file: Path, folder: str) -> None:
        """Move a file; one with the name of an earlier one gets a number."""
        into = self._folder / folder
        into.mkdir(exist_ok=True)
        names = [file.name, *(f"{file.name}.{number}" for number in range(1, 10_000))]
        file.rename(into / next(name for name in names if not (into / name).exists()))
