"""Remembers used tokens in an SQLite file, so that each is taken once: by all workers, and after a restart too."""

import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.storage.sqlite import Checkpointer

_TABLE: Final = "CREATE TABLE IF NOT EXISTS used (id BLOB PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID"
_INSERT: Final = "INSERT OR IGNORE INTO used VALUES (?, ?)"
_FORGET: Final = "DELETE FROM used WHERE id >= ? AND id < ? AND expires < ?"
_OPENING_SECONDS: Final = 5.0
# for another process's insert, which takes microseconds; longer waits would hold up every call of this process
_WAIT_MILLISECONDS: Final = 250
# Ids are spread evenly, so one value of the first byte is 1/256 of the table. An index on `expires` would cost every
# insert 5 µs more (18 against 13); this costs a slice every 64 inserts, and what has expired is gone 16,384 later.
_INSERTS_PER_SLICE: Final = 64


class ReplayStore(Protocol):
    """Says of each token whether it is used for the first time."""

    async def first_use(self, iss: str, jti: str, expires: float, now: float) -> bool:
        """True once for each pair; ReplayStoreFailed where that cannot be said. Times are seconds since the epoch."""

    async def aclose(self) -> None:
        """Closes the store."""


class SqliteReplayStore:
    """A `ReplayStore` for the processes of one machine; it writes from the event loop's thread, about 13 µs a token."""

    def __init__(self, file: Path) -> None:
        """Makes the file where it is not there yet; ReplayStoreFailed when it cannot be opened."""
        self._file = file
        self._inserts = 0
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(file, isolation_level=None, timeout=_OPENING_SECONDS)
            for setting in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=0"):
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.execute(_TABLE)
            self._connection.execute(f"PRAGMA busy_timeout={_WAIT_MILLISECONDS}")
        except (sqlite3.Error, OSError) as error:
            raise ReplayStoreFailed(f"The store of used tokens cannot be opened: {error}.") from error
        self._checkpointer = Checkpointer(file)

    async def first_use(self, iss: str, jti: str, expires: float, now: float) -> bool:
        """True once for each pair, in whichever process."""
        try:
            added = self._connection.execute(_INSERT, (token_id(iss, jti), int(expires) + 1)).rowcount
            self._inserts += 1
            if self._inserts % _INSERTS_PER_SLICE == 0:
                self._forget(self._inserts // _INSERTS_PER_SLICE % 256, now)
        except sqlite3.Error as error:
            raise ReplayStoreFailed("The server cannot check the call's token. Try again later.") from error
        self._checkpointer.written(1)
        return added == 1

    async def aclose(self) -> None:
        """Closes the file."""
        self._checkpointer.close()
        self._connection.close()

    def _forget(self, slice_: int, now: float) -> None:
        first = bytes([slice_])
        # b"\xff" + 16 times b"\xff" comes after every id of 16 bytes
        last = bytes([slice_ + 1]) if slice_ < 255 else b"\xff" * 17
        self._connection.execute(_FORGET, (first, last, int(now)))


def token_id(iss: str, jti: str) -> bytes:
    """16 bytes for a token: its `jti` is unique for its issuer (RFC 7519, section 4.1.7)."""
    # as long as it is before the issuer, so that no other pair has the same text; JSON can hold half a surrogate pair
    text = f"{len(iss)}:{iss}{jti}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).digest()
