"""Keeps the book of counts up to date while pages are read from it: a little at once, more of it beside them."""

from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Final

from msgspec import Struct

from cds_hooks.monitor.book import CountBook
from cds_hooks.one_run import OneRun
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import newest_number

AT_ONCE: Final = 200
"""So many decisions are counted before a page is made; counting one takes about 0.1 ms."""
_MOST_BESIDE: Final = 100_000
_BATCH: Final = 50
_PAUSE_SECONDS: Final = 0.02


class Counted(Struct, frozen=True):
    """The book, None where it cannot be used, and what the page says where not everything is in it."""

    book: CountBook | None
    note: str = ""


class CountKeeper:
    """One for a server process; where several count, the first goes on and the others read what it has."""

    def __init__(self, url: str, file: Path) -> None:
        self._url = url
        self._file = file
        self._book: CountBook | None = None
        self._beside = OneRun("counting")

    def counted(self) -> Counted:
        """Return the book with what is new in the record, if that is little; more is counted beside the pages.

        Raises:
            RecordUnavailable: the record cannot be read.
        """
        newest = newest_number(self._url)
        try:
            self._book = self._book or CountBook(self._file)
            waiting = newest - self._book.counted_to()
        except RecordUnavailable as error:
            text = "Searches by rule, service or outcome look through the record as it is, which takes longer."
            return Counted(None, f"The counts cannot be used: {error}. {text}")
        if waiting < 0 or waiting > _MOST_BESIDE:
            text = "Run “cds-hooks monitor report”, and load this page again."
            return Counted(self._book, f"{max(waiting, newest):,} decisions are not counted yet. {text}")
        if waiting > AT_ONCE:
            self._beside.begin(self._count)
            return Counted(self._book, f"{waiting:,} decisions are being counted; load this page again in a moment.")
        with suppress(RecordUnavailable):  # another process counts them
            self._book.read(self._url)
        return Counted(self._book)

    def _count(self) -> None:
        # short batches with pauses between, so that no hook call waits for one
        with suppress(RecordUnavailable):
            while self._book is not None and self._book.read(self._url, at_once=_BATCH, most=_BATCH):
                sleep(_PAUSE_SECONDS)
