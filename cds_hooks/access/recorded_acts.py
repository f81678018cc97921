"""Compares the accounts with the recorded acts that made them: a row that somebody put in or changed is found."""

from typing import Any

import msgspec
from sqlalchemy import inspect, select

from cds_hooks.access.accounts import EVENT
from cds_hooks.access.store import FILE, accounts
from cds_hooks.storage.database import DATABASE_ERRORS, parse_url, reading_engine, sqlite_file
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events

_STATES = {"add": "active", "enable": "active", "disable": "disabled"}


def wrong_accounts(record_url: str) -> list[str]:
    """Return a sentence for each account that is not as the recorded acts made it; none where accounts are not read.

    It only reads; a role without the right to read accounts finds none.
    """
    acts = _acts(record_url)
    url = parse_url(record_url)
    if url.get_backend_name() == "sqlite":
        file = sqlite_file(url).with_name(FILE)
        if not file.exists():
            return [f"the account {name}, which was made, is missing" for name in acts]
        url = url.set(database=str(file))
    try:
        with reading_engine(url).connect() as connection:
            if not inspect(connection).has_table(accounts.name):
                return []
            query = select(accounts.c.name, accounts.c.roles, accounts.c.state).order_by(accounts.c.name)
            rows = {row.name: (row.roles, row.state) for row in connection.execute(query)}
    except DATABASE_ERRORS:
        return []
    sentences = [_compare(name, row, acts.get(name)) for name, row in rows.items()]
    missing = [f"the account {name}, which was made, is missing" for name in acts if name not in rows]
    return [sentence for sentence in (*sentences, *missing) if sentence]


def _acts(record_url: str) -> dict[str, tuple[str, str]]:
    """Roles and state of each account as the acts leave it."""
    made: dict[str, tuple[str, str]] = {}
    query = select(events.c.detail).where(events.c.kind == EVENT).order_by(events.c.sequence)
    for row in read_rows(record_url, query):
        act: dict[str, Any] = msgspec.json.decode(row.detail)
        roles, state = made.get(act["account"], ("", ""))
        roles = ",".join(sorted(act["roles"])) if "roles" in act else roles
        made[act["account"]] = (roles, _STATES.get(act["act"], state))
    return made


def _compare(name: str, row: tuple[str, str], act: tuple[str, str] | None) -> str:
    if act is None:
        return f"the account {name} ({row[0]}) was made by no recorded act"
    if row != act:
        return (
            f"the account {name} is {row[1]} with the roles {row[0]}; the recorded acts left it {act[1]} with {act[0]}"
        )
    return ""
