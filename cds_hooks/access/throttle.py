"""How many logins can be tried: five failures for a name, a hundred for an address, in a quarter of an hour.

A try is counted before the password is checked, so that many at the same moment are not more than that. Names and
addresses are stored as SHA-256 only: people type passwords into the field of the name. A name without an account is
counted like any other, so the answer does not tell the two apart.
"""

import hashlib
from collections.abc import Callable
from time import time
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection, delete, func, insert, select

from cds_hooks.access.store import AccessStore, tries

WINDOW_SECONDS: Final = 900.0
TRIES_FOR_A_NAME: Final = 5
TRIES_FROM_AN_ADDRESS: Final = 100


class TooManyTries(Exception):
    """No more logins are checked for now; `seconds` says for how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many failed logins; again in {seconds:.0f} s")
        self.seconds = seconds


def count_try(store: AccessStore, name: str, address: str, now: Callable[[], float] = time) -> None:
    """Counts a login that is about to be checked.

    Raises:
        TooManyTries: The name, or the address, has had as many as it may have.
    """
    moment = now()
    limits = ((_subject("name", name), TRIES_FOR_A_NAME), (_subject("address", address), TRIES_FROM_AN_ADDRESS))
    with store.transaction() as connection:
        connection.execute(delete(tries).where(tries.c.at <= moment - WINDOW_SECONDS))
        for subject, most in limits:
            query = select(func.count(), func.min(tries.c.at)).where(tries.c.subject == subject)
            count, first = connection.execute(query).one()
            if count >= most:
                raise TooManyTries(first + WINDOW_SECONDS - moment)
        rows = [{"id": uuid4().hex, "subject": subject, "at": moment} for subject, _ in limits]
        connection.execute(insert(tries), rows)


def forgive(connection: Connection, name: str) -> None:
    """Forgets the failures of a name: somebody has logged in with it, or its account was changed."""
    connection.execute(delete(tries).where(tries.c.subject == _subject("name", name)))


def _subject(kind: str, text: str) -> bytes:
    return hashlib.sha256(f"{kind}:{text.casefold()[:400]}".encode("utf-8", "surrogatepass")).digest()
