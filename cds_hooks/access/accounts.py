"""Local accounts: made and changed by `cds-hooks accounts`, checked at the login."""

import re
from collections.abc import Iterable, Mapping
from time import time
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import delete, insert, select, update

from cds_hooks.access.passwords import hash_password, password_fault, verifies
from cds_hooks.access.roles import ASSIGNABLE, Role
from cds_hooks.access.store import AccessStore, accounts, sessions
from cds_hooks.access.throttle import forgive

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class AccountRefused(Exception):
    """The account cannot be made or changed so; the message is a sentence."""


class Account(Struct, frozen=True):
    """A local account, without its password."""

    name: str
    full_name: str
    roles: frozenset[str]
    state: str


def parse_roles(texts: Iterable[str]) -> frozenset[Role]:
    """Return the roles of these names.

    Raises:
        AccountRefused: One is no role that can be assigned, or there is none.
    """
    roles = {role.value: role for role in ASSIGNABLE}
    names = [text.strip() for text in texts if text.strip()]
    wrong = [name for name in names if name not in roles]
    if wrong or not names:
        sentence = f"{wrong[0][:40]!r} is no role that an account can have" if wrong else "An account needs a role"
        raise AccountRefused(f"{sentence}; the roles are {', '.join(roles)}.")
    return frozenset(roles[name] for name in names)


def add_account(store: AccessStore, name: str, full_name: str, roles: frozenset[Role], password: str) -> None:
    """Make an account.

    Raises:
        AccountRefused: The name or the password cannot be used, or there is such an account.
    """
    if not _NAME.fullmatch(name):
        raise AccountRefused("A name has 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit.")
    row = {
        "name": name.casefold(),
        "full_name": full_name.strip()[:120] or name,
        "roles": _text(roles),
        "password_hash": _hashed(password, name),
        "state": "active",
        "changed_at": time(),
    }
    with store.transaction() as connection:
        if connection.execute(select(accounts.c.name).where(accounts.c.name == row["name"])).first():
            raise AccountRefused(f"There is an account {name} already.")
        connection.execute(insert(accounts).values(**row))


def change_password(store: AccessStore, name: str, password: str) -> None:
    """Set a new password and ends all sessions of the account."""
    _change(store, name, {"password_hash": _hashed(password, name)})


def change_roles(store: AccessStore, name: str, roles: frozenset[Role]) -> None:
    """Set the roles; they count from the next page that the person opens."""
    _change(store, name, {"roles": _text(roles)}, ends_sessions=False)


def disable_account(store: AccessStore, name: str) -> None:
    """Lets the account in no longer and ends its sessions."""
    _change(store, name, {"state": "disabled"})


def enable_account(store: AccessStore, name: str) -> None:
    """Lets a disabled account in again, also one whose name has had too many failed logins."""
    _change(store, name, {"state": "active"})


def list_accounts(store: AccessStore) -> list[Account]:
    """Return all accounts, by name."""
    with store.transaction() as connection:
        return [account_of(row._mapping) for row in connection.execute(select(accounts).order_by(accounts.c.name))]


def check_login(store: AccessStore, name: str, password: str) -> Account | None:
    """Return the active account with this name and password.

    None where there is none, it is disabled, or the password is wrong: all take the same time, because a hash is
    computed in each case.
    """
    with store.transaction() as connection:
        row = connection.execute(select(accounts).where(accounts.c.name == name.casefold())).first()
    active_row = row if row is not None and row.state == "active" else None
    if not verifies(password, active_row.password_hash if active_row is not None else None) or active_row is None:
        return None
    return account_of(active_row._mapping)


def account_of(row: Mapping[Any, Any]) -> Account:
    """Return the account of a row."""
    return Account(row["name"], row["full_name"], frozenset(row["roles"].split(",")), row["state"])


def _hashed(password: str, name: str) -> str:
    if (fault := password_fault(password, name)) is not None:
        raise AccountRefused(fault)
    return hash_password(password)


def _text(roles: frozenset[Role]) -> str:
    return ",".join(sorted(roles))


def _change(store: AccessStore, name: str, values: dict[str, str], *, ends_sessions: bool = True) -> None:
    account_name = name.casefold()
    with store.transaction() as connection:
        done = connection.execute(
            update(accounts).where(accounts.c.name == account_name).values(**values, changed_at=time())
        )
        if not done.rowcount:
            raise AccountRefused(f"There is no account {name[:64]}; `cds-hooks accounts` has those there are.")
        if ends_sessions:
            connection.execute(delete(sessions).where(sessions.c.account == account_name))
        forgive(connection, account_name)
