"""`cds-hooks trust`: makes, fills, shows and checks the trust file."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from rich.table import Table
from rich.text import Text

from cards.rules.engine.governance import SiteRules, all_rule_versions
from cds_hooks.call.hold_back.site_file import RulesFileError, read_rules_file
from cds_hooks.call.security.addresses import KeySetUrl
from cds_hooks.call.security.trust import NO_SERVICE, RegistrableNames, TrustedClient
from cds_hooks.call.security.trust_file import EVERY_SERVICE, TrustFile, TrustFileError, read_trust_file
from cds_hooks.call.security.trust_setup import add_client, try_addresses
from cds_hooks.call.services import every_service, services_for
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import AsJson, failure, print_json
from cds_hooks.tools.commands.record import site_approvals
from cds_hooks.tools.kit.commands.options import given_as
from cds_hooks.tools.kit.tables import print_table

File = Annotated[
    Path, typer.Option("--file", envvar="CDS_TRUST_FILE", help="The trust file.", metavar="PATH", show_default=True)
]
_DEFAULT = Path("trust.toml")
Texts = list[str] | None


@dataclass(frozen=True)
class TrustOptions:
    """The file, how it is listed, and one client by the names that the trust file has for it."""

    name: Annotated[
        str | None, typer.Argument(help="A new client's name, as it will stand in the log and the record.")
    ] = None
    issuers: Annotated[Texts, typer.Option("--issuer", help="iss of its tokens, exactly; again for more.")] = None
    subjects: Annotated[Texts, typer.Option("--subject", help="sub of its tokens; again for more.")] = None
    jwks_url: Annotated[str | None, typer.Option(help="https address of its key set.")] = None
    jwks_file: Annotated[Path | None, typer.Option(help="File with its key set.")] = None
    algorithms: Annotated[Texts, typer.Option("--algorithm", help="ES384 and RS384 unless given; again for more.")] = (
        None
    )
    fhir: Annotated[Texts, typer.Option(help="Base URL of its FHIR server; again for more.")] = None
    networks: Annotated[
        Texts,
        typer.Option("--network", help="Private network of its servers, as 10.20.0.0/16; again for more."),
    ] = None
    hooks: Annotated[Texts, typer.Option("--hook", help="Hook it may call, else all; again for more.")] = None
    services: Annotated[Texts, typer.Option("--service", help="Service it may call, else all; again for more.")] = None
    dialect: Annotated[str | None, typer.Option(help="standard, epic, oracle or sandbox.")] = None
    file: File = _DEFAULT
    online: Annotated[bool, typer.Option("--online", help="Fetch key sets and ask each FHIR server, too.")] = False
    as_json: AsJson = False


_OF_THE_COMMAND: Final = ("file", "online", "as_json")


@given_as(TrustOptions)
def trust(options: TrustOptions) -> None:
    """List the clients of the trust file and its mistakes; with a NAME add a client at its end, or make the file.

    Every mistake is a sentence with its place; exit code 1 with a mistake, and where a client cannot be added, which
    leaves the file as it was. With --online also whether key sets and FHIR servers can be reached under the rules of
    the file. Where a server runs at CDS_PUBLIC_URL, it is asked which version of the file it has in force. It has a new
    one within a second. What else a client may have (docs/operations/trust.md) is written into the file by hand.

    Example: cds-hooks trust "Epic test" --issuer https://ehr.example.org/fhir
    --jwks-url https://ehr.example.org/jwks --algorithm RS384 --fhir https://ehr.example.org/fhir --dialect epic
    """
    entry = {name: value for name, value in asdict(options).items() if name not in _OF_THE_COMMAND}
    if options.name is not None:
        _add(options.file, entry)
    elif unused := [name for name, value in entry.items() if value is not None]:
        raise failure(f"Options of a new client ({', '.join(unused)}) came without its NAME; nothing was added.", 2)
    else:
        _list(options.file, online=options.online, as_json=options.as_json)


def _add(file: Path, entry: dict[str, Any]) -> None:
    entry |= {"issuers": entry["issuers"] or [], "services": entry["services"] or [EVERY_SERVICE]}
    if entry["jwks_file"] is not None:
        entry["jwks_file"] = _from_folder_of(file, entry["jwks_file"])
    is_new = not file.exists()
    with _said_in_sentences():
        trust_file = add_client(file, entry, _registrable_names())
    typer.echo(f"{file} has {_counted(trust_file)}; {entry['name']} is the last.")
    if is_new:
        typer.echo(f"The file is new. Serve with it: CDS_TRUST_FILE={file}")


def _list(file: Path, *, online: bool, as_json: bool) -> None:
    try:
        trust_file = read_trust_file(file, _registrable_names())
    except TrustFileError as error:
        _print_check(file, list(error.problems), as_json=as_json)
        _say_what_is_in_force(on_stderr=True)
        raise typer.Exit(1) from error
    reached = try_addresses(trust_file) if online else []
    failed = [address for address in reached if not address.reached]
    if as_json:
        _print_check(file, [], reached, trust_file.clients, as_json=True)
    else:
        typer.echo(f"{file} can be used: {_counted(trust_file)}.")
        _draw_clients(trust_file)
        _say_rules_in_shadow()
        for address in reached:
            typer.echo(str(address))
        _say_what_is_in_force()
    raise typer.Exit(1 if failed else 0)


_SERVER_SECONDS: Final = 2.0


def _say_what_is_in_force(*, on_stderr: bool = False) -> None:
    """Say which version of the file the running server has in force; on standard error beside JSON and after faults."""
    url = f"{settings().public_url}/readyz"
    try:
        answer = httpx.get(url, timeout=_SERVER_SECONDS).json()
        sentence = str(
            answer.get("trust_file", "The running server has the newest version of its trust file in force.")
        )
    except (httpx.HTTPError, ValueError, AttributeError):
        sentence = f"Which version is in force is unknown: no server answers at {url}."
    typer.echo(sentence, err=on_stderr)


@contextmanager
def _said_in_sentences() -> Iterator[None]:
    try:
        yield
    except TrustFileError as error:
        raise failure("\n".join(f"{error.path}: {problem}" for problem in error.problems)) from error


def _counted(trust_file: TrustFile) -> str:
    return f"{len(trust_file.clients)} client{'s' if len(trust_file.clients) != 1 else ''}"


def _from_folder_of(file: Path, path: Path) -> str:
    """Return a path as it is typed, made one from the trust file's folder, from which the server reads it."""
    return str(path) if path.is_absolute() else os.path.relpath(path.absolute(), file.absolute().parent)


def _say_rules_in_shadow() -> None:
    """Names the rules that show no more cards when the server is started with a trust file."""
    path = settings().rules_file
    try:
        rules_file = read_rules_file(path) if path is not None else SiteRules()
        site = site_approvals().in_force(rules_file)
    except RulesFileError as error:
        typer.echo(str(error), err=True)
        return
    if settings().login == "none":
        typer.echo("CDS_LOGIN is not set, so nobody can approve (docs/operations/approvals.md).")
    versions = all_rule_versions()
    if waiting := site.not_approved(versions):
        typer.echo(
            f"{len(waiting)} of {len(versions)} medication rules are not approved at this site: behind a trust file "
            "they are evaluated and counted, and show nothing. cds-hooks rules check --to-review lists them, and two "
            "people who have logged in approve them at /rules (docs/operations/approvals.md)."
        )


def _registrable_names() -> RegistrableNames:
    services = services_for(settings())
    hooks = {hook for service in services.values() for hook in service.answers}
    return RegistrableNames(every_service(services), hooks)


def _facts(client: TrustedClient) -> dict[str, Any]:
    source = client.key_source
    keys = str(source.url) if isinstance(source, KeySetUrl) else ", ".join(sorted(source.keys.by_kid))
    return {
        "name": client.name,
        "issuers": sorted(client.issuers),
        "subjects": sorted(client.subjects),
        "tenant": client.tenant,
        "keys": keys,
        "jku": client.jku,
        "algorithms": sorted(client.algorithms),
        "audiences": sorted(client.audiences),
        "fhir": [str(base.url) for base in client.fhir],
        "hooks": sorted(client.hooks),
        "services": sorted(client.services - NO_SERVICE),
        "may_call": client.services != NO_SERVICE,
        "dialect": client.profile.dialect.id,
        "protocol_version": client.profile.version,
        "cors_origins": sorted(client.cors_origins),
        "link_hosts": sorted(client.profile.link_hosts),
    }


def _draw_clients(trust_file: TrustFile) -> None:
    table = Table("client", "tokens", "FHIR servers", "may call")
    for row in map(_facts, trust_file.clients):
        tokens = [*row["issuers"], f"keys: {row['keys']}", ", ".join(row["algorithms"])]
        allowed = [
            ", ".join(row["services"]) or ("all services" if row["may_call"] else "no service"),
            ", ".join(row["hooks"]) or "all hooks",
        ]
        cells = (f"{row['name']}\n{row['dialect']}", "\n".join(tokens), "\n".join(row["fhir"]), "\n".join(allowed))
        table.add_row(*map(Text, cells))
    print_table(table) if trust_file.clients else typer.echo("Without a client nobody may call.")


def _print_check(
    file: Path,
    problems: list[str],
    reached: Sequence[Any] = (),
    clients: Iterable[TrustedClient] = (),
    *,
    as_json: bool,
) -> None:
    if as_json:
        document = {
            "file": str(file),
            "problems": problems,
            "clients": [_facts(client) for client in clients],
            "reached": [address.facts() for address in reached],
        }
        print_json(document)
        return
    for problem in problems:
        typer.echo(f"{file}: {problem}", err=True)
