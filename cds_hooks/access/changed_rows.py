"""Compares the accounts there are with those that the recorded acts made: a row that somebody changed is found."""

import msgspec
from sqlalchemy import inspect, select

from cds_hooks.access.recorded_acts import EVENT, AccountAct, RecordedAccount, RecordedAccounts
from cds_hooks.access.store import FILE, accounts
from cds_hooks.storage.database import DATABASE_ERRORS, parse_url, reading_engine, sqlite_file
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events


def wrong_accounts(record_url: str) -> list[str]:
    """Return a sentence for each account that is not as the recorded acts made it; none where accounts are not read.

    It only reads; a role without the right to read accounts finds none.
    """
    made = _recorded(record_url).made
    url = parse_url(record_url)
    if url.get_backend_name() == "sqlite":
        file = sqlite_file(url).with_name(FILE)
        if not file.exists():
            return list(map(_missing, made))
        url = url.set(database=str(file))
    try:
        with reading_engine(url).connect() as connection:
            if not inspect(connection).has_table(accounts.name):
                return []
            query = select(accounts.c.name, accounts.c.roles, accounts.c.state).order_by(accounts.c.name)
            rows = {
                row.name: RecordedAccount(frozenset(row.roles.split(",")), row.state)
                for row in connection.execute(query)
            }
    except DATABASE_ERRORS:
        return []
    sentences = [_compare(name, row, made.get(name)) for name, row in rows.items()]
    missing = [_missing(name) for name in made if name not in rows]
    return [sentence for sentence in (*sentences, *missing) if sentence]


def _missing(name: str) -> str:
    return f"the account {name}, which was made, is missing"


def _recorded(record_url: str) -> RecordedAccounts:
    recorded = RecordedAccounts()
    query = select(events.c.detail).where(events.c.kind == EVENT).order_by(events.c.sequence)
    for row in read_rows(record_url, query):
        recorded.take(msgspec.json.decode(row.detail, type=AccountAct))
    return recorded


def _compare(name: str, row: RecordedAccount, recorded: RecordedAccount | None) -> str:
    if recorded is None:
        return f"the account {name} ({row.role_words}) was made by no recorded act"
    if row != recorded:
        return (
            f"the account {name} is {row.state} with the roles {row.role_words}; the recorded acts left it "
            f"{recorded.state} with {recorded.role_words}"
        )
    return ""
