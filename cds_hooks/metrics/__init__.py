"""Counters and histograms for /metrics, in one process or over several workers. No label can hold patient data.

A call needs about twenty counts. They are counted in plain dictionaries (4 µs a call, measured on 20 November 2026) and
handed to prometheus-client when the page is read, or once a second to its multiprocess files (`page.py`):
counting with the library itself takes 18 µs a call in one process and 37 µs with its multiprocess mode. The library is
loaded with the first page.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cds_hooks.metrics.counts import Metrics

if TYPE_CHECKING:
    from cds_hooks.metrics.page import WorkerFiles

__all__ = ["Metrics", "MetricsFolder"]

_WRITE_SECONDS: Final = 1.0


class MetricsFolder:
    """Adds up the counts of several workers with prometheus-client's own multiprocess files.

    Each worker writes its counts into files of the library's form once a second, and the one that is asked for the page
    lets the library add them up. The files of a worker that ended stay, so that no counter falls while the server runs.
    """

    def __init__(self, metrics: Metrics, folder: Path | None) -> None:
        """Without a folder this process is the only worker."""
        self._metrics = metrics
        self._folder = folder
        self._opened: WorkerFiles | None = None

    def page(self) -> bytes:
        """The text that Prometheus reads, of all workers; what others counted is up to a second old."""
        if self._folder is None:
            from cds_hooks.metrics.page import page_of

            return page_of(self._metrics)
        return self._files(self._folder).page()

    async def keep_writing(self) -> None:
        """Writes what this worker counted once a second until cancelled, and then a last time."""
        if self._folder is None:
            return
        try:
            while True:
                self._write(self._folder)
                await asyncio.sleep(_WRITE_SECONDS)
        finally:
            self._write(self._folder)
            self.close()

    def close(self) -> None:
        """Closes this worker's files; what they hold stays for the others."""
        if self._opened is not None:
            self._opened.close()

    def _write(self, folder: Path) -> None:
        with suppress(OSError):  # counting never stands in the way of answering
            self._files(folder).write()

    def _files(self, folder: Path) -> "WorkerFiles":
        if self._opened is None:
            from cds_hooks.metrics.page import WorkerFiles

            self._opened = WorkerFiles(self._metrics, folder)
        return self._opened
