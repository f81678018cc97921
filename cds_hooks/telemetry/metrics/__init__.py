"""Counters and histograms for /metrics, in one process or over several workers. No label can hold patient data.

A call needs about twenty counts. They are counted in plain dictionaries (4 µs a call, measured on 20 November 2026) and
handed to prometheus-client when the page is read (`page.py`): counting with the library itself takes 18 µs a call in
one process and 37 µs with its multiprocess mode. The library is loaded with the first page.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import msgspec

from cds_hooks.telemetry.metrics.counts import Metrics, Snapshot

__all__ = ["Metrics", "MetricsFolder"]

_WRITE_SECONDS: Final = 1.0
_decode: Final = msgspec.json.Decoder(Snapshot).decode


class MetricsFolder:
    """Adds up the counts of several workers.

    Each worker writes what it counted into a file of its own once a second, and the one that is asked for the page adds
    them up. The files of a worker that ended stay, so that no counter falls while the server runs.
    """

    def __init__(self, metrics: Metrics, folder: Path | None) -> None:
        """Without a folder this process is the only worker."""
        self._metrics = metrics
        self._folder = folder

    def page(self) -> bytes:
        """Return the text that Prometheus reads, of all workers; what others counted is up to a second old."""
        from cds_hooks.telemetry.metrics.page import page_of, workers_of

        snapshots = self.snapshots()
        workers = workers_of(os.getppid(), snapshots) if self._folder else None
        if workers:  # what a worker that ended counted stays, what it saw last does not
            snapshots = {pid: each if pid in workers else each.counts_alone() for pid, each in snapshots.items()}
        return page_of(list(snapshots.values()), workers)

    def snapshots(self) -> dict[int, Snapshot]:
        """Return what each worker counted, by its process id."""
        if self._folder is None:
            return {os.getpid(): self._metrics.snapshot()}
        written = {int(file.stem): _decode(file.read_bytes()) for file in self._folder.glob("*.json")}
        return written | {os.getpid(): self._metrics.snapshot()}  # its own is true also where the disk is full

    async def keep_writing(self) -> None:
        """Write what this worker counted once a second until canceled, and then a last time."""
        if self._folder is None:
            return
        try:
            while True:
                self._write(self._folder)
                await asyncio.sleep(_WRITE_SECONDS)
        finally:
            self._write(self._folder)

    def _write(self, folder: Path) -> None:
        new = folder / f"{os.getpid()}.new"
        try:
            new.write_bytes(msgspec.json.encode(self._metrics.snapshot()))
            new.replace(folder / f"{os.getpid()}.json")
        except OSError:  # counting never stands in the way of answering, and what others read is old: an alert says so
            self._metrics.count("cds_work_failures")
