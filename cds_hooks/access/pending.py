"""Logins that went to another server: what was sent along, until the browser comes back with the same state, once."""

import hashlib
import secrets
from collections.abc import Callable
from time import time
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import delete, insert, select

from cds_hooks.access.store import AccessStore, pending

LIFETIME_SECONDS: Final = 600.0


class UnderWay(Struct, frozen=True):
    """One login under way. `kind` is "oidc" or "smart"; `where` is what it came from: the issuer or the FHIR base.

    `page` is where the person goes afterwards.
    """

    kind: str
    where: str
    verifier: str
    nonce: str
    page: str = ""


def new_secret() -> str:
    """Return a value that nobody can guess, for a state, a nonce, a verifier (RFC 7636: 43 characters) or a cookie."""
    return secrets.token_urlsafe(32)


def send_away(store: AccessStore, login: UnderWay, browser: str, now: Callable[[], float] = time) -> str:
    """Remembers a login for the browser with this cookie; returns its state."""
    state, moment = new_secret(), now()
    row = {"state": _digest(state), "browser": _digest(browser), "ends_at": moment + LIFETIME_SECONDS}
    with store.transaction() as connection:
        connection.execute(delete(pending).where(pending.c.ends_at <= moment))
        connection.execute(insert(pending).values(**row, detail=msgspec.json.encode(login).decode()))
    return state


def come_back(
    store: AccessStore, kind: str, state: str, browser: str, now: Callable[[], float] = time
) -> UnderWay | None:
    """Return what this browser was sent away with under this state; None for another browser, an old or used state."""
    with store.transaction() as connection:
        first = connection.execute(select(pending).where(pending.c.state == _digest(state))).first()
        connection.execute(delete(pending).where(pending.c.state == _digest(state)))
    if first is None or first.ends_at <= now() or bytes(first.browser) != _digest(browser):
        return None
    login = msgspec.json.decode(first.detail, type=UnderWay)
    return login if login.kind == kind else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
