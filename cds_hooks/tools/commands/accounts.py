"""`cds-hooks accounts`: lists, makes and changes the accounts with which people log in to the pages."""

import sys
from functools import partial
from getpass import getuser
from typing import Annotated, Any

import typer
from msgspec import to_builtins

from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.people.access.accounts import (
    Account,
    AccountRefused,
    add_account,
    change_password,
    change_roles,
    disable_account,
    enable_account,
    list_accounts,
    parse_roles,
)
from cds_hooks.people.access.recorded_acts import ACCOUNT_EVENT
from cds_hooks.people.access.roles import ASSIGNABLE, ROLE_WORDS
from cds_hooks.people.access.store import AccessStore
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import AsJson, Database, failure, print_json, said_in_a_sentence
from cds_hooks.tools.commands.record_options import record_url

_said_in_a_sentence = partial(said_in_a_sentence, AccountRefused, RecordUnavailable, OSError)


def accounts(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the account; capitals make no difference.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role", metavar="ROLE", help=f"One of {', '.join(ASSIGNABLE)}; replaces those before; can be given again."
        ),
    ] = None,
    full_name: Annotated[str, typer.Option(help="Of a new account: the person's name as the pages show it.")] = "",
    new_password: Annotated[bool, typer.Option("--password", help="Ask for a new password, twice.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
    ] = False,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Let the account in again, or no longer.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List the accounts; with a NAME make one, which needs a --role, or change the one that is there.

    A password is asked for twice, and has at least 15 characters. A new password and --disable end the sessions of
    the account at once; new roles count from the next page; a new password and --enable forget the failed logins of
    its name.

    Example: printf 'four words of my own' | cds-hooks accounts ann --role operator --password-stdin
    """
    with _said_in_a_sentence():
        url = record_url(database)
        upgrade_schema(parse_url(url))
        store = AccessStore(url)
        accounts = list_accounts(store)
        if name is None:
            _draw(accounts, as_json=as_json)
        elif not any(account.name == name.casefold() for account in accounts):
            if not role or enable is not None:
                new = "" if enable is not None else " To make it, give --role."
                raise AccountRefused(f"There is no account {name[:64]!r}; nothing was changed.{new}")
            roles = parse_roles(role)
            add_account(store, name, full_name, roles, _password(from_stdin=password_stdin))
            _record(url, name, "add", f"can log in as {', '.join(sorted(roles))}.", roles=sorted(roles))
            if settings().login not in ("accounts", "both"):
                typer.echo("Pages do not ask for a login yet: set CDS_LOGIN=accounts (docs/operations/access.md).")
        elif not role and not new_password and not password_stdin and enable is None:
            raise failure("Say what to change: --role, --password, --password-stdin, --enable or --disable.", 2)
        else:
            if role:
                roles = parse_roles(role)
                change_roles(store, name, roles)
                _record(url, name, "roles", f"can now log in as {', '.join(sorted(roles))}.", roles=sorted(roles))
            if new_password or password_stdin:
                change_password(store, name, _password(from_stdin=password_stdin))
                _record(url, name, "password", "has a new password. Its sessions have ended.")
            if enable is False:
                disable_account(store, name)
                _record(url, name, "disable", "is disabled. Its sessions have ended.")
            if enable is True:
                enable_account(store, name)
                _record(url, name, "enable", "can log in again.")


def _draw(accounts: list[Account], *, as_json: bool) -> None:
    if as_json:
        rows = [to_builtins(account) | {"roles": sorted(account.roles)} for account in accounts]
        print_json(rows)
        return
    for account in accounts:
        typer.echo(f"{account.name} ({account.full_name}): {', '.join(sorted(account.roles))}; {account.state}")
    if not accounts:
        typer.echo("There is no account yet; `cds-hooks accounts NAME --role ROLE` makes one.")
    typer.echo("The roles:")
    for role in ASSIGNABLE:
        typer.echo(f"  {role}: {ROLE_WORDS[role]}")


def _record(url: str, name: str, act: str, sentence: str, **more: Any) -> None:
    add_event(url, ACCOUNT_EVENT, getuser(), {"account": name.casefold(), "act": act, **more})
    typer.echo(f"The account {name} {sentence}")


def _password(*, from_stdin: bool) -> str:
    try:
        if from_stdin:
            text = sys.stdin.readline().rstrip("\r\n")
        else:
            text = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        text.encode()  # bytes that are no UTF-8 may have come through as halves of characters
    except UnicodeError as error:
        raise AccountRefused("the password is not UTF-8 text") from error
    return text
