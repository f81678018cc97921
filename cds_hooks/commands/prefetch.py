"""`cds-hooks prefetch`: what clients send of what is asked for, and what fetching the rest costs."""

from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from cds_hooks.commands.record_access import record_url
from cds_hooks.prefetch.statistics import ClientRates, KeyRates, prefetch_rates, quantile
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions

app = typer.Typer(no_args_is_help=True, help="See what clients send of what the services ask for.")

_STATES = ("given", "null", "failed", "fetched", "unobtainable")


@app.callback()
def _group() -> None:
    """Keeps `stats` a subcommand, although it is the only one."""


@app.command()
def stats(
    limit: Annotated[int, typer.Option(min=1, help="Of so many decisions, the newest.")] = 10_000,
    client: Annotated[str | None, typer.Option(help="Of this client only.")] = None,
    service: Annotated[str | None, typer.Option(help="Of this service only.")] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="SQLAlchemy URL of the record; else CDS_DATABASE_URL."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show for each client and key how often it was sent, fetched or missing, and what fetching took.

    Example: cds-hooks prefetch stats --limit 1000
    """
    query = select(decisions.c.client, decisions.c.service, decisions.c.basis).order_by(decisions.c.sequence.desc())
    if client is not None:
        query = query.where(decisions.c.client == client)
    if service is not None:
        query = query.where(decisions.c.service == service)
    try:
        rows = read_rows(record_url(database), query.limit(limit))
    except RecordUnavailable as error:
        typer.echo(f"{str(error)[0].upper()}{str(error)[1:]}.", err=True)
        raise typer.Exit(1) from error
    found = prefetch_rates((row.client, row.service, row.basis) for row in rows)
    if as_json:
        typer.echo(orjson.dumps([_as_json(each) for each in found], option=orjson.OPT_INDENT_2))
        return
    console = Console()
    if not found:
        console.print("No decision in the record says what its call brought.")
    for each in found:
        console.print(_table(each))
        console.print(each.sentence, highlight=False)


def _table(found: ClientRates) -> Table:
    calls = "1 call" if found.calls == 1 else f"{found.calls} calls"
    table = Table(title=f"{found.client} → {found.service}: {calls}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("key", no_wrap=True)
    for column in ("sent", "null", "failed", "fetched", "missing", "ms", "p95"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why not", overflow="fold")
    for key in found.keys.values():
        shares = (f"{100 * key.states[state] / key.calls:.0f}%" if key.states[state] else "" for state in _STATES)
        times = [f"{quantile(key.milliseconds, percent):.0f}" for percent in (50, 95)] if key.milliseconds else ["", ""]
        reasons = ", ".join(f"{reason} {count}" for reason, count in key.reasons.most_common(3))
        table.add_row(key.key, *shares, *times, reasons)
    return table


def _as_json(found: ClientRates) -> dict[str, Any]:
    return {
        "client": found.client,
        "service": found.service,
        "calls": found.calls,
        "says": found.sentence,
        "milliseconds": _times(found.milliseconds),
        "keys": [_key_as_json(key) for key in found.keys.values()],
    }


def _key_as_json(key: KeyRates) -> dict[str, Any]:
    return {
        "key": key.key,
        **{state: key.states[state] for state in _STATES},
        "reasons": dict(key.reasons),
        "milliseconds": _times(key.milliseconds),
    }


def _times(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": round(quantile(values, 50), 1), "p95": round(quantile(values, 95), 1)}
