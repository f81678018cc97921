"""A person with a browser's cookies at a server that asks for a login; accounts, and what the record says of them."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, select

from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import events
from cds_hooks.people.access.store import AccessStore, accounts
from tests.cds_hooks.calls import client
from tests.live import record_in

PASSWORD = "four plain words together"  # noqa: S105
BROWSER = {"accept": "text/html", "sec-fetch-site": "same-origin"}
_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


@cache
def _hash() -> str:
    """Argon2id of PASSWORD with the least it can cost: a login with the parameters of the server takes 0.15 s."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def store_of(folder: Path) -> AccessStore:
    """The accounts of the record in a folder."""
    return AccessStore(record_in(folder))


def with_account(
    folder: Path, name: str, *roles: str, state: str = "active", password_hash: str | None = None
) -> AccessStore:
    """Puts an account with PASSWORD there, whose hash is a cheap one unless a test is about the hash."""
    store = store_of(folder)
    row = {"name": name, "full_name": f"{name.title()} Example", "roles": ",".join(sorted(roles)), "state": state}
    with store.transaction() as connection:
        connection.execute(insert(accounts).values(**row, password_hash=password_hash or _hash(), changed_at=0.0))
    return store


def entries(folder: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Actor and detail of the record's entries of one kind."""
    rows = read_rows(record_in(folder), select(events).where(events.c.kind == kind).order_by(events.c.sequence))
    return [(row.actor, json.loads(row.detail)) for row in rows]


@dataclass
class Person:
    """Somebody at a browser."""

    calls: httpx.AsyncClient
    headers: Mapping[str, str] = field(default_factory=lambda: BROWSER)

    async def open(self, path: str) -> httpx.Response:
        """What they see at an address; redirects are not followed."""
        return await self.calls.get(path, headers=self.headers)

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """A form that they send."""
        return await self.calls.post(path, data=fields, headers=self.headers)

    async def log_in(self, name: str, password: str = PASSWORD, page: str = "/") -> httpx.Response:
        """The answer to the form of the login page."""
        shown = await self.calls.get("/login", params={"page": page}, headers=self.headers)
        return await self.send("/login", name=name, password=password, page=page, form_token=form_token(shown))


def form_token(page: httpx.Response) -> str:
    """The token in the form of a page."""
    found = _TOKEN.findall(page.text)
    assert found, page.text
    return str(found[-1])


@asynccontextmanager
async def visit(folder: Path, **settings: Any) -> AsyncIterator[Person]:
    """A person at a server that asks everybody to log in."""
    async with client(folder, **{"login": "accounts", **settings}) as calls:
        yield Person(calls)
