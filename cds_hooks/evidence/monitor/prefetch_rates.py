"""How often clients send each prefetch key, from the counts of the record."""

from collections import Counter
from datetime import date, timedelta
from typing import Final

from msgspec import Struct, field

from cds_hooks.evidence.monitor.book import CountBook

STATES: Final = ("given", "null", "failed", "fetched", "unobtainable")


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


def prefetch_rates(
    book: CountBook, until: date, days: int, client: str | None, service: str | None
) -> list[ClientRates]:
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
