"""How often clients send each prefetch key, and what fetching the rest costs, counted from the decision record."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from sqlalchemy import select

from cds_hooks.storage.queries import read_rows, without_trials
from cds_hooks.storage.tables import decisions

SENT: Final = ("given", "null")
STATES: Final = (*SENT, "failed", "fetched", "unobtainable")
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
    """Return the value below which so many percent lie."""
    return float(np.percentile(values, percent))


def recorded_rates(url: str, limit: int, client: str | None, service: str | None) -> list[ClientRates]:
    """Return the rates of the newest decisions, of one client and service where these are named.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    query = select(decisions.c.client, decisions.c.service, decisions.c.basis).where(without_trials(decisions))
    query = query.order_by(decisions.c.sequence.desc())
    for column, name in ((decisions.c.client, client), (decisions.c.service, service)):
        query = query if name is None else query.where(column == name)
    return prefetch_rates((row.client, row.service, row.basis) for row in read_rows(url, query.limit(limit)))


def rates_as_json(client_rates: ClientRates) -> dict[str, Any]:
    """Return the rates as plain values for JSON; milliseconds as median and 95th percentile."""
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
        **{state: key.states[state] for state in STATES},
        "reasons": dict(key.reasons),
        "milliseconds": _times(key.milliseconds),
    }


def _times(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": round(quantile(values, 50), 1), "p95": round(quantile(values, 95), 1)}
