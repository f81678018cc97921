"""`cds-hooks prefetch`: what clients send of what is asked for, and what fetching the rest costs.

How often clients send each prefetch key and what fetching the rest costs, counted from the decision record.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from cds_hooks.commands.options import AsJson, Client, Database, Service, print_json
from cds_hooks.commands.record_options import record_url
from cds_hooks.commands.sentences import as_sentence, failure
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions

SENT: Final = ("given", "null")
_USUALLY: Final = 0.5


class _Recorded(msgspec.Struct):
    """What of a decision's basis is read here."""

    prefetch: dict[str, str | dict[str, Any]] = msgspec.field(default_factory=dict)
    timings: dict[str, float] = msgspec.field(default_factory=dict)


_decoder: Final = msgspec.json.Decoder(_Recorded)


@dataclass(slots=True)
class KeyRates:
    """One key of one service with one client: how often which state, and the milliseconds of every fetch."""

    key: str
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """All calls that asked for it."""
        return self.states.total()

    @property
    def is_sent(self) -> bool:
        """Whether the client sends it in at least half of its calls; null is an answer too."""
        return sum(self.states[state] for state in SENT) >= _USUALLY * self.calls


@dataclass(slots=True)
class ClientRates:
    """One client and service; `milliseconds` are of whole calls that fetched something."""

    client: str
    service: str
    calls: int = 0
    keys: dict[str, KeyRates] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """What a site asks in week one."""
        sent = sum(key.is_sent for key in self.keys.values())
        cost = f"fetching costs {quantile(self.milliseconds, 50):.0f} ms" if self.milliseconds else "nothing is fetched"
        return f"{self.client} sends {sent} of {len(self.keys)} keys of {self.service}; {cost}."


def prefetch_rates(decisions: Iterable[tuple[str, str, bytes]]) -> list[ClientRates]:
    """By client and service, from the client, service and basis of each decision."""
    rates_by_client: dict[tuple[str, str], ClientRates] = {}
    for client, service, basis in decisions:
        recorded = _decoder.decode(basis)
        if recorded.prefetch:
            _count(rates_by_client.setdefault((client, service), ClientRates(client, service)), recorded)
    return [rates_by_client[client] for client in sorted(rates_by_client)]


def _count(to: ClientRates, recorded: _Recorded) -> None:
    to.calls += 1
    has_fetched = False
    for name, state in recorded.prefetch.items():
        key = to.keys.setdefault(name, KeyRates(name))
        if isinstance(state, str):
            key.states[state] += 1
            continue
        key.states[state["state"]] += 1
        if "reason" in state:
            key.reasons[state["reason"]] += 1
        if "milliseconds" in state:
            has_fetched = True
            key.milliseconds.append(state["milliseconds"])
    if has_fetched:
        to.milliseconds.append(recorded.timings["fetch"])


def quantile(values: list[float], percent: float) -> float:
    """The value below which so many percent lie."""
    return float(np.percentile(values, percent))


_STATES = ("given", "null", "failed", "fetched", "unobtainable")


def prefetch(
    limit: Annotated[int, typer.Option(min=1, max=10_000_000, help="Of so many decisions, the newest.")] = 10_000,
    client: Client = None,
    service: Service = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show for each client and key how often it was sent, fetched or missing, and what fetching took.

    Example: cds-hooks prefetch --limit 1000
    """
    query = select(decisions.c.client, decisions.c.service, decisions.c.basis).order_by(decisions.c.sequence.desc())
    if client is not None:
        query = query.where(decisions.c.client == client)
    if service is not None:
        query = query.where(decisions.c.service == service)
    try:
        rows = read_rows(record_url(database), query.limit(limit))
    except RecordUnavailable as error:
        raise failure(as_sentence(error)) from error
    rates = prefetch_rates((row.client, row.service, row.basis) for row in rows)
    if as_json:
        print_json([_as_json(rate) for rate in rates])
        return
    console = Console()
    if not rates:
        console.print("No decision in the record says what its call brought.")
    for client_rates in rates:
        console.print(_table(client_rates))
        console.print(client_rates.sentence, highlight=False)


def _table(client_rates: ClientRates) -> Table:
    calls = "1 call" if client_rates.calls == 1 else f"{client_rates.calls} calls"
    table = Table(
        title=f"{client_rates.client} → {client_rates.service}: {calls}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("key", no_wrap=True)
    for column in ("sent", "null", "failed", "fetched", "missing", "ms", "p95"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why not", overflow="fold")
    for key in client_rates.keys.values():
        shares = (f"{100 * key.states[state] / key.calls:.0f}%" if key.states[state] else "" for state in _STATES)
        times = [f"{quantile(key.milliseconds, percent):.0f}" for percent in (50, 95)] if key.milliseconds else ["", ""]
        reasons = ", ".join(f"{reason} {count}" for reason, count in key.reasons.most_common(3))
        table.add_row(key.key, *shares, *times, reasons)
    return table


def _as_json(client_rates: ClientRates) -> dict[str, Any]:
    return {
        "client": client_rates.client,
        "service": client_rates.service,
        "calls": client_rates.calls,
        "says": client_rates.sentence,
        "milliseconds": _times(client_rates.milliseconds),
        "keys": [_key_as_json(key) for key in client_rates.keys.values()],
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
