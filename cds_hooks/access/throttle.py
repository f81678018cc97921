"""How many logins can be tried: five failures for a name, a hundred for an address, in a quarter of an hour.

A try is counted before the password is checked, so that many at the same moment are not more than that; one that
succeeds is taken back. After some failures each try waits for a moment before it is checked. The address of a proxy on
this machine that is not declared (`CDS_TRUSTED_PROXIES`) is that of everybody behind it, and is slowed only. Names and
addresses are stored as SHA-256 only: people type passwords into the field of the name. A name without an account is
counted like any other, so the answer does not tell the two apart.
"""

import hashlib
import math
from collections.abc import Callable
from time import time
from typing import Final, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, delete, func, insert, select

from cds_hooks.access.store import AccessStore, tries
from cds_hooks.security.client import is_proxy
from cds_hooks.settings.checks import Networks

WINDOW_SECONDS: Final = 900.0
TRIES_FOR_A_NAME: Final = 5
TRIES_FROM_AN_ADDRESS: Final = 100
_QUICK_TRIES_FOR_A_NAME: Final = 2
_QUICK_TRIES_FROM_AN_ADDRESS: Final = 20
_SECONDS_MORE: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 4.0
_OF_THIS_MACHINE: Final = ("", "127.0.0.1", "::1")


class TooManyTries(Exception):
    """No more logins are checked for now; `seconds` says for how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many failed logins; again in {seconds:.0f} s")
        self.seconds = seconds


class Attempt(NamedTuple):
    """A login that was counted."""

    rows: tuple[str, ...]
    wait_seconds: float
    """How long it waits before it is checked: failures before it slow it down."""


def count_try(store: AccessStore, name: str, address: str, now: Callable[[], float] = time) -> Attempt:
    """Count a login that is about to be checked.

    Raises:
        TooManyTries: The name, or the address, has had as many as it may have.
    """
    moment = now()
    from_an_address = math.inf if address in _OF_THIS_MACHINE else TRIES_FROM_AN_ADDRESS
    limits = (
        (_subject("name", name), TRIES_FOR_A_NAME, _QUICK_TRIES_FOR_A_NAME),
        (_subject("address", address), from_an_address, _QUICK_TRIES_FROM_AN_ADDRESS),
    )
    wait_seconds = 0.0
    with store.transaction() as connection:
        connection.execute(delete(tries).where(tries.c.at <= moment - WINDOW_SECONDS))
        for subject, most, quick in limits:
            query = select(func.count(), func.min(tries.c.at)).where(tries.c.subject == subject)
            count, first = connection.execute(query).one()
            if count >= most:
                raise TooManyTries(first + WINDOW_SECONDS - moment)
            wait_seconds = max(wait_seconds, min(_LONGEST_WAIT_SECONDS, _SECONDS_MORE * (count - quick)))
        rows = [{"id": uuid4().hex, "subject": subject, "at": moment} for subject, _, _ in limits]
        connection.execute(insert(tries), rows)
    return Attempt(tuple(str(row["id"]) for row in rows), wait_seconds)


def forgive(connection: Connection, name: str, attempt: Attempt | None = None) -> None:
    """Forgets the failures of a name, and a try: somebody has logged in with it, or the account was changed."""
    connection.execute(delete(tries).where(tries.c.subject == _subject("name", name)))
    if attempt is not None:
        connection.execute(delete(tries).where(tries.c.id.in_(attempt.rows)))


def address_of_client(peer: str, forwarded_for: str, proxies: Networks) -> str:
    """Return whose address counts: the nearest hop that is no declared proxy; `peer` is "" on a Unix socket."""
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()] if proxies else []
    address = peer
    while hops and (address == "" or is_proxy(address, proxies)):
        address = hops.pop()
    return address[:64]


def _subject(kind: str, text: str) -> bytes:
    return hashlib.sha256(f"{kind}:{text.casefold()[:400]}".encode("utf-8", "surrogatepass")).digest()
