"""`cds-hooks services`: what this installation offers, and what clients send for it."""

from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.options import Client, Database, Service, print_json, said_in_a_sentence
from cds_hooks.commands.record_options import record_url
from cds_hooks.dialects import UnknownDialect, profile_for
from cds_hooks.protocol.hooks import WrongDeclaration
from cds_hooks.services import services_for
from cds_hooks.settings import settings
from cds_hooks.storage.decision import RecordUnavailable


def services(
    prefetch_rates: Annotated[
        bool, typer.Option("--prefetch-rates", help="How often each key was sent, fetched or missing, from the record.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="With --prefetch-rates: of so many decisions, the newest.")
    ] = 10_000,
    client: Client = None,
    service: Service = None,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print discovery, or the rates, as JSON.")] = False,
) -> None:
    """List the services, their hooks and what they prefetch, as a client of CDS_DIALECT gets them.

    With --prefetch-rates: what clients really send of each key, and what fetching the rest took.

    Example: cds-hooks services --prefetch-rates --client ward
    """
    if prefetch_rates:
        _print_rates(record_url(database), limit, client, service, as_json)
        return
    configured = settings()
    with said_in_a_sentence(WrongDeclaration, UnknownDialect):
        profile = profile_for("development", configured.dialect, version=configured.protocol_version)
        entries = [entry for offered in services_for(configured).values() for entry in offered.discovery(profile)]
    if as_json:
        print_json({"services": entries})
        return
    table = Table("id", "hook", "title", "prefetch keys", title="CDS services")
    for entry in entries:
        table.add_row(entry["id"], entry["hook"], entry["title"], ", ".join(entry["prefetch"]))
    Console().print(table)


def _print_rates(url: str, limit: int, client: str | None, service: str | None, as_json: bool) -> None:
    from cds_hooks.monitor.prefetch_rates import rates_as_json, recorded_rates

    with said_in_a_sentence(RecordUnavailable):
        rates = [rates_as_json(rate) for rate in recorded_rates(url, limit, client, service)]
    if as_json:
        print_json(rates)
        return
    console = Console()
    if not rates:
        console.print("No decision in the record says what its call brought.")
    for rate in rates:
        console.print(_rates_table(rate))
        console.print(rate["says"], highlight=False)


def _rates_table(rate: dict[str, Any]) -> Table:
    from cds_hooks.monitor.prefetch_rates import STATES

    title = f"{rate['client']} → {rate['service']}: {rate['calls']} call{'s' if rate['calls'] != 1 else ''}"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("key", no_wrap=True)
    for column in ("sent", "null", "failed", "fetched", "missing", "ms", "p95"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why not", overflow="fold")
    for key in rate["keys"]:
        calls = sum(key[state] for state in STATES)
        shares = [f"{100 * key[state] / calls:.0f}%" if key[state] else "" for state in STATES]
        times = [f"{value:.0f}" for value in key["milliseconds"].values()] if key["milliseconds"] else ["", ""]
        reasons = sorted(key["reasons"].items(), key=lambda reason: -reason[1])[:3]
        table.add_row(key["key"], *shares, *times, ", ".join(f"{reason} {count}" for reason, count in reasons))
    return table
