"""`cds-hooks settings --services`: what this installation offers, and what clients send for it."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import Struct, field, to_builtins
from rich import box
from rich.console import Console
from rich.table import Table

from cds_hooks.call.dialects import UnknownDialect, profile_for
from cds_hooks.call.protocol.hooks.declared import WrongDeclaration
from cds_hooks.call.services import services_for
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import print_json, said_in_a_sentence
from cds_hooks.tools.commands.record_options import record_url
from cds_hooks.tools.kit.tables import print_table

_STATES: Final = ("given", "null", "failed", "fetched", "unobtainable")


def print_services(
    *, prefetch_rates: bool, days: int, client: str | None, service: str | None, database: str | None, as_json: bool
) -> None:
    """Print the services as a client of CDS_DIALECT gets them, or what clients really send of each prefetch key."""
    if prefetch_rates:
        _print_rates(record_url(database), days, client, service, as_json)
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
    print_table(table)


def _print_rates(url: str, days: int, client: str | None, service: str | None, as_json: bool) -> None:
    from cds_hooks.evidence.record_views import open_follower

    with said_in_a_sentence(RecordUnavailable):
        follower = open_follower(settings(), url)
        follower.catch_up()
        rates = _rates(CountBook(follower.views), datetime.now(UTC).date(), days, client, service)
    if as_json:
        print_json([to_builtins(rate) | {"says": rate.sentence} for rate in rates])
        return
    console = Console()
    if not rates:
        console.print(
            "No call of a client is on record in these days. Trials (/try and `cds-hooks call`) are not counted."
        )
    for rate in rates:
        title = f"{rate.client} → {rate.service}: {rate.calls} call{'s' if rate.calls != 1 else ''}"
        table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in ("key", "sent", "null", "failed", "fetched", "missing"):
            table.add_column(column, justify="left" if column == "key" else "right")
        for key, states in rate.keys.items():
            shares = [f"{100 * states[state] / states.total():.0f}%" if states[state] else "" for state in _STATES]
            table.add_row(key, *shares)
        print_table(table, console)
        console.print(rate.sentence, highlight=False)


class ClientRates(Struct):
    """One client and service: its calls, and how often each key had which state."""

    client: str
    service: str
    calls: int = 0
    keys: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What a site asks in week one: how many keys come in at least half of the calls; null is an answer, too."""
        sent = sum(2 * (states["given"] + states["null"]) >= states.total() for states in self.keys.values())
        return f"{self.client} sends {sent} of {len(self.keys)} keys of {self.service}."


def _rates(book: CountBook, until: date, days: int, client: str | None, service: str | None) -> list[ClientRates]:
    """Return the rates of so many days up to and with a day, of one client and service where these are named.

    Raises:
        RecordUnavailable: The book cannot be read.
    """
    rates: dict[tuple[str, str], ClientRates] = {}
    first = until - timedelta(days=days - 1)
    for caller, called, kind, name, n in book.totals(("prefetch", "call"), first, until, "client, service"):
        if client in (None, caller) and service in (None, called):
            of_client = rates.setdefault((caller, called), ClientRates(caller, called))
            if kind == "call":
                of_client.calls += n
            else:
                key, _, state = name.rpartition(" ")
                of_client.keys.setdefault(key, Counter())[state] += n
    return [rates[key] for key in sorted(rates) if rates[key].keys]
