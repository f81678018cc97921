"""The database of accounts, sessions, failed logins and logins that are under way.

It is no part of the record of decisions, because its rows change and are deleted: an SQLite file beside the record, or
tables in the same PostgreSQL database, so that all workers and machines of one record share it. It holds nothing of a
patient but, in a session that an EHR opened, the id of the patient whose chart is open.

Compares the accounts there are with those that the recorded acts made: a row that somebody changed is found.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

import msgspec
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Float,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    false,
    inspect,
    select,
    text,
)

from cds_hooks.evidence.storage.database import (
    DATABASE_ERRORS,
    database_error_reason,
    engine_for,
    make_file,
    parse_url,
    reading_engine,
    shown_url,
    sqlite_file,
)
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import events
from cds_hooks.people.access.recorded_acts import ACCOUNT_EVENT, AccountAct, RecordedAccount, RecordedAccounts

FILE: Final = "access.sqlite3"

metadata = MetaData()

accounts = Table(
    "access_accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("full_name", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
)
"""`roles` are names with commas between; `state` is "active" or "disabled"."""

sessions = Table(
    "access_sessions",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("account", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("full_name", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("form_token", Text, nullable=False),
    Column("bound_client", Text),
    Column("bound_patient", Text),
    Column("bound_decision", Text),
    Column("seen_at", Float, nullable=False),
    Column("ends_at", Float, nullable=False),
    Index("access_sessions_by_account", "account"),
)
"""`id` is the SHA-256 of the cookie; `account` is "" where the session is not of a local account.

`actor` is what the record names for what the session does; `issuer` is who vouches for the person.
"""

tries = Table(
    "access_tries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subject", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Index("access_tries_by_subject", "subject", "at"),
)
"""Logins that failed or are being checked; `subject` is the SHA-256 of a name or of an address."""

pending = Table(
    "access_pending",
    metadata,
    Column("state", LargeBinary, primary_key=True),
    Column("browser", LargeBinary, nullable=False),
    Column("detail", Text, nullable=False),
    Column("ends_at", Float, nullable=False),
)
"""Logins that went to another server and have not come back; `state` and `browser` are SHA-256 values."""

_LOCK: Final = 0x6364_735F_6163_6365  # "cds_acce": one name for all that make the same tables


class AccountsUnavailable(RecordUnavailable):
    """Accounts and sessions cannot be read or written."""

    what_cannot_be_used: ClassVar[str] = "The file of accounts"


class AccessStore:
    """Opens transactions on the database of one record's accounts."""

    def __init__(self, record_url: str) -> None:
        """Nothing is opened or made before the first transaction."""
        record = parse_url(record_url)
        self._url: URL = record
        if record.get_backend_name() == "sqlite":
            self._url = record.set(database=str(sqlite_file(record).with_name(FILE)))
        self._is_made = False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction that may write.

        Raises:
            AccountsUnavailable: The database cannot be opened, read or written.
        """
        try:
            if not self._is_made:
                self._make()
            with engine_for(self._url).begin() as connection:
                yield connection
        except DATABASE_ERRORS as error:
            reason = database_error_reason(error)
            raise AccountsUnavailable(
                f"accounts and sessions at {shown_url(self._url)} cannot be used: {reason}"
            ) from error

    def check(self) -> None:
        """Take the locks that a login needs, and change nothing.

        Raises:
            AccountsUnavailable: They cannot be had, or the tables are not there.
        """
        with self.transaction() as connection:
            connection.execute(select(accounts.c.name).limit(1))
            for table in (sessions, tries, pending):
                connection.execute(delete(table).where(false()))

    def _make(self) -> None:
        is_sqlite = self._url.get_backend_name() == "sqlite"
        if is_sqlite:
            make_file(sqlite_file(self._url))
        with engine_for(self._url).begin() as connection:
            if not is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            # a role that may not make tables finds them made (docs/operations/insert-only-role.sql)
            there = set(inspect(connection).get_table_names())
            missing = [table for table in metadata.sorted_tables if table.name not in there]
            metadata.create_all(connection, tables=missing, checkfirst=False)
        self._is_made = True


def wrong_accounts(record_url: str) -> list[str]:
    """Return a sentence for each account that is not as the recorded acts made it; none where there are no accounts.

    Beside a record that was restored there are none: backups have the acts and no accounts. It only reads; a role
    without the right to read accounts finds none.
    """
    try:
        return _wrong_accounts(record_url)
    except (TypeError, ValueError, AttributeError, msgspec.MsgspecError):
        return ["an act on accounts or an account holds what no server writes, so accounts were not compared"]


def _wrong_accounts(record_url: str) -> list[str]:
    made = _recorded(record_url).made
    url = parse_url(record_url)
    if url.get_backend_name() == "sqlite":
        file = sqlite_file(url).with_name(FILE)
        if not file.exists():
            return []  # of a restored record: accounts are in no backup
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
    if not rows:
        return []
    sentences = [_compare(name, row, made.get(name)) for name, row in rows.items()]
    missing = [f"the account {name}, which was made, is missing" for name in made if name not in rows]
    return [sentence for sentence in (*sentences, *missing) if sentence]


def _recorded(record_url: str) -> RecordedAccounts:
    recorded = RecordedAccounts()
    query = select(events.c.detail).where(events.c.kind == ACCOUNT_EVENT).order_by(events.c.sequence)
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
