"""Sessions: kept on the server, named by a cookie whose SHA-256 alone is stored."""

import hashlib
import secrets
from collections.abc import Callable
from time import time
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from cds_hooks.people.access.store import AccessStore, accounts, sessions
from cds_hooks.people.web.visitor import PatientBound, Visitor

_TOUCH_SECONDS: Final = 30.0
"""A session notes at most so often that it was used; a page costs no write otherwise."""


class Lifetimes(Struct, frozen=True):
    """After how many seconds without a page, and after how many in all, a session ends."""

    idle: float
    longest: float


class Person(Struct, frozen=True):
    """Who has shown who they are: by a local account (`account` is its name), at the site's provider or in an EHR.

    `issuer` is who vouches for the person, where that is one who can approve.
    """

    actor: str
    full_name: str
    roles: frozenset[str]
    account: str = ""
    issuer: str = ""
    bound: PatientBound | None = None
    longest: float | None = None
    """After how many seconds the session ends, where that is sooner than for others."""


class Sessions:
    """The sessions of one record's pages."""

    def __init__(
        self,
        store: AccessStore,
        lifetimes: Lifetimes,
        *,
        secure: bool,
        now: Callable[[], float] = time,
    ) -> None:
        """`secure` where people reach the pages by https: the cookie is then never sent in the clear."""
        self._store = store
        self._lifetimes = lifetimes
        self._secure = secure
        self._now = now
        self.cookie = f"{'__Host-' if secure else ''}cds-session"
        """Its name; with `__Host-` a browser takes it from this host only, for all paths and with Secure."""
        self.login_cookie = f"{'__Host-' if secure else ''}cds-login"
        """The name of the cookie that ties a login under way to one browser."""

    def begin(self, person: Person, replacing: str | None = None) -> str:
        """Begin a session and return the value of its cookie. The session of the old cookie ends, whoever made it."""
        token = secrets.token_urlsafe(32)
        moment = self._now()
        row = {
            "id": _id(token),
            "account": person.account,
            "actor": person.actor[:300],
            "full_name": person.full_name[:120],
            "roles": ",".join(sorted(person.roles)),
            "issuer": person.issuer,
            "form_token": secrets.token_urlsafe(24),
            "bound_client": person.bound.client if person.bound is not None else None,
            "bound_patient": person.bound.patient if person.bound is not None else None,
            "bound_decision": person.bound.decision if person.bound is not None else None,
            "seen_at": moment,
            "ends_at": moment + min(self._lifetimes.longest, person.longest or self._lifetimes.longest),
        }
        with self._store.transaction() as connection:
            self._sweep(connection, moment)
            if replacing is not None:
                connection.execute(delete(sessions).where(sessions.c.id == _id(replacing)))
            connection.execute(insert(sessions).values(**row))
        return token

    def visitor(self, token: str) -> Visitor | None:
        """Return who has this session; None where it has ended or never was.

        The roles of a local account are those that it has now.
        """
        moment = self._now()
        query = select(sessions, accounts.c.roles.label("account_roles"), accounts.c.state).select_from(
            sessions.outerjoin(accounts, sessions.c.account == accounts.c.name)
        )
        with self._store.transaction() as connection:
            row = connection.execute(query.where(sessions.c.id == _id(token))).first()
            if row is None:
                return None
            if self._has_ended(row, moment):
                connection.execute(delete(sessions).where(sessions.c.id == row.id))
                return None
            if moment - row.seen_at >= _TOUCH_SECONDS:
                connection.execute(update(sessions).where(sessions.c.id == row.id).values(seen_at=moment))
        roles = frozenset((row.account_roles if row.account else row.roles).split(","))
        names = (row.bound_patient, row.bound_decision or "")
        bound = PatientBound(row.bound_client, *names) if row.bound_client is not None else None
        return Visitor(row.full_name, row.actor, roles, row.form_token, bound, row.issuer)

    def end(self, token: str) -> None:
        """End a session."""
        with self._store.transaction() as connection:
            connection.execute(delete(sessions).where(sessions.c.id == _id(token)))

    def set_cookie(self, token: str) -> str:
        """Return the Set-Cookie field of a session; without an end, so that the browser forgets it when it closes."""
        return self._field(self.cookie, token, "")

    def set_login_cookie(self, value: str) -> str:
        """Return the Set-Cookie field that ties a login under way to this browser, for ten minutes."""
        return self._field(self.login_cookie, value, "; Max-Age=600")

    def drop_cookie(self, name: str) -> str:
        """Return the Set-Cookie field that takes a cookie away."""
        return self._field(name, "", "; Max-Age=0")

    def _field(self, name: str, value: str, more: str) -> str:
        # Lax: the way back from the provider or the EHR is a link of another site, and forms carry a token as well
        secure = "; Secure" if self._secure else ""
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}"

    def _has_ended(self, row: Any, moment: float) -> bool:
        is_disabled = bool(row.account) and row.state != "active"
        return is_disabled or bool(moment >= row.ends_at or moment - row.seen_at >= self._lifetimes.idle)

    def _sweep(self, connection: Connection, moment: float) -> None:
        idle = sessions.c.seen_at <= moment - self._lifetimes.idle
        connection.execute(delete(sessions).where(idle | (sessions.c.ends_at <= moment)))


def _id(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
