"""The counts of the record as the pages read them."""

from msgspec import Struct

from cds_hooks.evidence.decision_views.follow import Follower
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import newest_number

_WAIT_SECONDS = 1.5


class Counted(Struct, frozen=True):
    """The book, None where it cannot be used, and what the page says where not everything is in it."""

    book: CountBook | None
    note: str = ""


class CountKeeper:
    """Waits a moment for what is new in the record before a page is made."""

    def __init__(self, url: str, follower: Follower) -> None:
        self._url = url
        self._follower = follower
        self._book = CountBook(follower.views)

    def counted(self) -> Counted:
        """Return the book, with what is new in the record where that is little.

        Raises:
            RecordUnavailable: the record cannot be read.
        """
        newest = newest_number(self._url)
        try:
            self._follower.catch_up(seconds=_WAIT_SECONDS)
            return Counted(self._book)
        except RecordUnavailable as error:
            return self._behind(newest, error)

    def kept(self) -> Counted:
        """Return the book as it is: the record is not asked for what is new."""
        return Counted(self._book, "The record cannot be read: what is counted here is older.")

    def _behind(self, newest: int, error: RecordUnavailable) -> Counted:
        try:
            waiting = newest - self._book.views.mark().sequence
        except RecordUnavailable:
            text = "Searches by rule, service or outcome look through the record as it is, which takes longer."
            return Counted(None, f"The counts cannot be used: {error}. {text}")
        return Counted(
            self._book, f"{waiting:,} rows of the record are being counted; load this page again in a moment."
        )
