"""`cds-hooks accounts`: makes, lists, disables and changes the accounts with which people log in to the pages."""

import sys
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from cds_hooks.access.accounts import (
    EVENT,
    AccountRefused,
    add_account,
    change_password,
    change_roles,
    disable_account,
    enable_account,
    list_accounts,
    parse_roles,
    set_second_factor,
)
from cds_hooks.access.roles import ASSIGNABLE, ROLE_WORDS, Role
from cds_hooks.access.second_factor import enrolment_address, new_secret
from cds_hooks.access.store import AccessStore
from cds_hooks.commands.options import AsJson, Database, print_json
from cds_hooks.commands.record_options import record_url
from cds_hooks.commands.sentences import failure, said_in_a_sentence
from cds_hooks.hold_back.grants import sign_grant
from cds_hooks.hold_back.people import PeopleFileError, read_people
from cds_hooks.settings import settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import add_event
from cds_hooks.storage.opening import upgrade_schema
from models_onnx.artifact.keys import read_signer
from models_onnx.errors import ModelError

_said_in_a_sentence = partial(
    said_in_a_sentence, AccountRefused, PeopleFileError, RecordUnavailable, ModelError, OSError
)

app = typer.Typer(no_args_is_help=True, help="Make and change the accounts with which people log in to the pages.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account; capitals make no difference.")]
RoleOption = Annotated[
    list[str], typer.Option("--role", metavar="ROLE", help=f"One of {', '.join(ASSIGNABLE)}; can be given again.")
]
GrantKey = Annotated[
    Path | None,
    typer.Option("--key", help="Private key of the person who signs the roles, another person of CDS_PEOPLE_FILE."),
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


@app.command()
def add(
    name: Name,
    role: RoleOption,
    full_name: Annotated[str, typer.Option(help="The person's name as the pages show it.")] = "",
    password_stdin: FromStdin = False,
    key: GrantKey = None,
    database: Database = None,
) -> None:
    """Make an account; its password is asked for twice, and has at least 15 characters.

    Example: printf 'four words of my own' | cds-hooks accounts add ann --role operator --password-stdin
    """
    with _said_in_a_sentence():
        store, url = _open(database)
        roles = parse_roles(role)
        grant = _grant(key, name, full_name.strip() or name, roles)
        add_account(store, name, full_name, roles, _password(password_stdin))
        _record(url, name, "add", roles=sorted(roles), **grant)
    typer.echo(f"The account {name} can log in as {', '.join(sorted(roles))}.")
    if settings().login not in ("accounts", "both"):
        typer.echo("Pages do not ask for a login yet: set CDS_LOGIN=accounts (docs/operations/access.md).")


@app.command("list")
def list_(database: Database = None, as_json: AsJson = False) -> None:
    """List the accounts with their roles, and what each role opens.

    Example: cds-hooks accounts list --json
    """
    with _said_in_a_sentence():
        store, _ = _open(database)
        accounts = list_accounts(store)
    if as_json:
        rows = [
            {
                "name": account.name,
                "full_name": account.full_name,
                "roles": sorted(account.roles),
                "state": account.state,
            }
            for account in accounts
        ]
        print_json(rows)
        return
    for account in accounts:
        typer.echo(f"{account.name} ({account.full_name}): {', '.join(sorted(account.roles))}; {account.state}")
    if not accounts:
        typer.echo("There is no account yet; `cds-hooks accounts add NAME --role ROLE` makes one.")
    typer.echo("The roles:")
    for role in ASSIGNABLE:
        typer.echo(f"  {role}: {ROLE_WORDS[role]}")


@app.command()
def change(
    name: Name,
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="ROLE", help="New role in place of those before; repeat.")
    ] = None,
    new_password: Annotated[bool, typer.Option("--password", help="Ask for a new password, twice.")] = False,
    password_stdin: FromStdin = False,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Let the account in again, or no longer.")
    ] = None,
    second_factor: Annotated[
        bool | None,
        typer.Option(
            "--second-factor/--no-second-factor",
            help="Make the secret of an authenticator app, and print it once; or take it away.",
        ),
    ] = None,
    key: GrantKey = None,
    database: Database = None,
) -> None:
    """Change the roles, the password or the second factor of an account, or whether it may log in.

    New roles count from the next page that the person opens; where CDS_PEOPLE_FILE is set, a person of it signs them.
    A new password and --disable end the sessions of the account at once; a new password and --enable forget the failed
    logins of its name.

    Example: cds-hooks accounts change ann --role operator --role auditor
    """
    if not role and not new_password and not password_stdin and enable is None and second_factor is None:
        raise failure(
            "Say what to change: --role, --password, --password-stdin, --second-factor, --enable or --disable.", 2
        )
    with _said_in_a_sentence():
        store, url = _open(database)
        if role:
            roles = parse_roles(role)
            holders = {account.name: account.full_name for account in list_accounts(store)}
            grant = _grant(key, name, holders.get(name.casefold(), name), roles)
            change_roles(store, name, roles)
            _record(url, name, "roles", roles=sorted(roles), **grant)
            typer.echo(f"The account {name} can now log in as {', '.join(sorted(roles))}.")
        if new_password or password_stdin:
            change_password(store, name, _password(password_stdin))
            _record(url, name, "password")
            typer.echo(f"The account {name} has a new password. Its sessions have ended.")
        if second_factor is not None:
            secret = new_secret() if second_factor else None
            set_second_factor(store, name, secret)
            _record(url, name, "second-factor" if second_factor else "no-second-factor")
            if secret is not None:
                typer.echo(
                    f"Give this to the person of the account {name}, for an authenticator app; it is not shown again:"
                )
                typer.echo(enrolment_address(secret, name.casefold(), urlsplit(settings().public_url).netloc))
            typer.echo(f"The account {name} {'has a' if secret else 'has no'} second factor. Its sessions have ended.")
        if enable is False:
            disable_account(store, name)
            _record(url, name, "disable")
            typer.echo(f"The account {name} is disabled. Its sessions have ended.")
        if enable is True:
            enable_account(store, name)
            _record(url, name, "enable")
            typer.echo(f"The account {name} can log in again.")


def _open(database: str | None) -> tuple[AccessStore, str]:
    url = record_url(database)
    upgrade_schema(parse_url(url))
    return AccessStore(url), url


def _grant(key: Path | None, name: str, holder: str, roles: frozenset[Role]) -> dict[str, Any]:
    """Returns the signed grant as a member of the entry; none where the site has no file of people."""
    file = settings().people_file
    if file is None and key is None:
        return {}
    if key is None:
        raise AccountRefused("CDS_PEOPLE_FILE names who grants roles: one of these people signs with --key.")
    if file is None:
        raise AccountRefused("--key signs for a person of the file of people, which CDS_PEOPLE_FILE names.")
    return {"grant": sign_grant(name.casefold(), holder, roles, read_people(file), read_signer(key, "grant"))}


def _record(url: str, name: str, act: str, **more: Any) -> None:
    add_event(url, EVENT, getuser(), {"account": name.casefold(), "act": act, **more})


def _password(from_stdin: bool) -> str:
    try:
        if from_stdin:
            text = sys.stdin.readline().rstrip("\r\n")
        else:
            text = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        text.encode()  # bytes that are no UTF-8 may have come through as halves of characters
    except UnicodeError as error:
        raise AccountRefused("the password is not UTF-8 text") from error
    return text
