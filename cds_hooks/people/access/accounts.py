"""Local accounts: made and changed by `cds-hooks accounts`, checked at the login.

Passwords: what one must be, and its Argon2id hash: 64 MiB and 3 passes, as in the second recommendation of RFC 9106,
with one lane, so that a login takes one processor and not four.

The length follows NIST SP 800-63B-4 (2025), section 3.1.1.2: a password that is the only factor has at least 15
characters, and no rule says of which kind they are. By the same section a common password is refused: those that Django
refuses (19,640 of leaked lists; Django 5.2, common-passwords.txt.gz, BSD license), alone, repeated, two together, and
with digits and signs between.

How many logins can be tried: five failures for a name, a hundred for an address, in a quarter of an hour.

A try is counted before the password is checked, so that many at the same moment are not more than that; one that
succeeds is taken back. After some failures each try waits for a moment before it is checked. The address of a proxy on
this machine that is not declared (`CDS_TRUSTED_PROXIES`) is that of everybody behind it, and is slowed only. Names and
addresses are stored as SHA-256 only: people type passwords into the field of the name. A name without an account is
counted like any other, so the answer does not tell the two apart.
"""

import gzip
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from time import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, update

from cds_hooks.call.security.trust import is_proxy
from cds_hooks.people.access.roles import ASSIGNABLE, Role
from cds_hooks.people.access.store import AccessStore, accounts, sessions, tries
from cds_hooks.settings.checks import Networks

if TYPE_CHECKING:
    from argon2 import PasswordHasher

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
        sentence = f"{wrong[0][:40]!r} is not a role that an account can have" if wrong else "An account needs a role"
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
            raise AccountRefused(f"There is no account {name[:64]!r}; `cds-hooks accounts` lists those there are.")
        if ends_sessions:
            connection.execute(delete(sessions).where(sessions.c.account == account_name))
        forgive(connection, account_name)


SHORTEST: Final = 15
LONGEST: Final = 200
_NAME_THAT_COUNTS: Final = 4


def password_fault(password: str, name: str) -> str | None:
    """Return what is wrong with a new password, in a sentence; None for one that can be used."""
    if len(password) < SHORTEST:
        return f"The password has {len(password)} characters; it needs at least {SHORTEST}. Several words are good."
    if len(password) > LONGEST:
        return f"The password has {len(password)} characters; at most {LONGEST} are read."
    if len(set(password)) < 5 or (len(name) >= _NAME_THAT_COUNTS and name.casefold() in password.casefold()):
        return "The password repeats a few characters or contains the name of the account; choose another one."
    if _is_common(password.casefold()) or _is_common(_NO_LETTERS.sub("", password.casefold())):
        return "The password is one or two of the most common passwords; choose another one. Several words are good."
    return None


_NO_LETTERS: Final = re.compile(r"[\W\d_]")


def _is_common(text: str) -> bool:
    """Return whether the text is a common password, such a one repeated, or two of them."""
    for end in range(1, len(text) + 1):
        beginning, rest = text[:end], text[end:]
        if beginning in _common() and (rest in _common() or not rest.replace(beginning, "")):
            return True
    return False


@cache
def _common() -> frozenset[str]:
    packed = files("cds_hooks.people.access").joinpath("common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split())


def hash_password(password: str) -> str:
    """Return the Argon2id hash with its parameters and salt, as text."""
    return password_hasher().hash(password)


def verifies(password: str, password_hash: str | None) -> bool:
    """Return whether the password has this hash; with None it takes as long and is False."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        password_hasher().verify(password_hash or _of_nobody(), password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


@cache
def password_hasher() -> "PasswordHasher":
    """Return what hashes and verifies passwords."""

    from argon2 import PasswordHasher  # imported here: only a login needs it

    return PasswordHasher(parallelism=1)  # a login never takes more than one processor from the calls


@cache
def _of_nobody() -> str:
    """Return a hash to compare with where there is no account: the answer takes as long as for a wrong password."""
    return password_hasher().hash("of nobody, compared for its time")


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
