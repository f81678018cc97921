"""Several workers of one server count together: each writes what it counted into one folder, the one asked adds up."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from cds_hooks.metrics import Counted, Metrics

_SECONDS: Final = 1.0
_decoder: Final = msgspec.msgpack.Decoder(Counted)


class MetricsFolder:
    """This worker's place in the folder; without a folder it is the only worker.

    What a worker that ended had counted stays, so that no counter falls while the server lives.
    """

    def __init__(self, metrics: Metrics, folder: Path | None) -> None:
        self._metrics = metrics
        self._file = folder / f"{os.getpid()}.counted" if folder is not None else None
        self._written = b""

    def page(self) -> bytes:
        """The text that Prometheus reads, of all workers; what others counted is up to a second old."""
        return self._metrics.page(self._others())

    async def keep_writing(self) -> None:
        """Writes what this worker counted once a second until cancelled, and then a last time."""
        if self._file is None:
            return
        try:
            while True:
                self._write(self._file)
                await asyncio.sleep(_SECONDS)
        finally:
            self._write(self._file)

    def _write(self, file: Path) -> None:
        counted = msgspec.msgpack.encode(self._metrics.counted())
        if counted != self._written:
            with suppress(OSError):  # counting never stands in the way of answering
                half = file.with_suffix(".half")
                half.write_bytes(counted)
                half.replace(file)
                self._written = counted

    def _others(self) -> Iterator[Counted]:
        if self._file is None:
            return
        for file in sorted(self._file.parent.glob("*.counted")):
            if file != self._file:
                with suppress(OSError, msgspec.DecodeError):
                    yield _decoder.decode(file.read_bytes())
