"""What is kept of every call so that it can be answered again without its body: its facts and its lean chart.

Beside the decision stand the members of the context that are read, what of the chart was refused, why prefetch keys are
not known, and the client's own JSON of those orders that were asked for. What the decision records anyway is not
repeated: the patient, the drafts (`orders` in its basis), the state of each key. The user is left out but for its type,
unless the answer names it. The chart (fhir/record/lean_chart.py) is recorded once for all decisions that were made with
it. With `CDS_KEEP_FACTS=false` only its hash is kept.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, Raw, Struct

from cds_hooks.call.prefetch.fetch import FilledPrefetch
from cds_hooks.call.prefetch.state import KeyState, PrefetchState, Templates
from cds_hooks.call.prefetch.template import Template
from cds_hooks.call.protocol.hooks import Context
from cds_hooks.call.protocol.request import CDSRequest
from cds_hooks.evidence.storage.content import store_content
from cds_hooks.evidence.storage.decision import StoredChart, chart_hash
from fhir.record.datatypes import write_decimal
from fhir.record.lean_chart import decode_chart, record_of_chart
from fhir.record.opting_out import SystemAndCode
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal
from fhir.record.resources import Patient

_DRAFTS: Final = "draftOrders"
_EMPTY: Final = Raw(b"{}")
_NOBODY: Final = "-"


class CallFacts(Struct, frozen=True, omit_defaults=True):
    """The facts of one call."""

    context: dict[str, Raw]
    refusals: tuple[Refusal, ...] = ()
    """What of the chart was refused while it was read."""
    texts: dict[str, str] = {}
    """Why a prefetch key is not known, or not wholly, in words."""
    other: tuple[Refusal, ...] = ()
    """Failures that came under keys of the client's own."""
    sent: tuple[Raw, ...] = ()
    """The client's own JSON of orders that the answer stops or changes, or could."""
    sent_as_drafts: tuple[str, ...] = ()
    """Those of them that stand in the basis, as Type/id."""
    has_timings: bool = False
    roles: tuple[str, ...] = ()
    """What the user works as, which is not part of the chart."""


class ChartNotRecorded(Exception):
    """A call cannot be answered again, because its chart is not in the record."""


class OfBasis(Struct, frozen=True):
    """What of a decision's basis the facts leave to it: the state of each prefetch key, and the orders, as JSON."""

    prefetch: Raw = _EMPTY
    orders: dict[str, Raw] | None = None


class _Head(Struct, frozen=True):
    resourceType: str = ""
    id: str = ""


class _Entry(Struct, frozen=True):
    resource: Raw = _EMPTY


class _Bundle(Struct, frozen=True):
    entry: tuple[_Entry, ...] = ()


_decoder: Final = msgspec.json.Decoder(CallFacts)
_states: Final = msgspec.json.Decoder(dict[str, Any])
_head: Final = msgspec.json.Decoder(_Head)
_encode: Final = msgspec.json.Encoder(enc_hook=write_decimal).encode


def keep_chart(text: bytes) -> StoredChart:
    """Return the row of a lean chart."""
    content = store_content(text)
    return StoredChart(chart_hash(content), content)


def write_facts(
    request: CDSRequest,
    refusals: tuple[Refusal, ...],
    prefetch: PrefetchState,
    asked_orders: Mapping[str, Any],
    orders: Mapping[str, Any] | None,
    response: bytes,
    roles: tuple[str, ...],
) -> bytes:
    """JSON of the facts of one call.

    `asked_orders` are the client's own orders that were asked for, by Type/id, and `orders` what the decision records
    as judged; `roles` is what the user works as.
    """
    in_orders, other_orders = _split(asked_orders, orders)
    return _encode(
        CallFacts(
            _context(request.context, orders, response),
            refusals,
            prefetch.texts,
            prefetch.other,
            other_orders,
            in_orders,
            request.wants_timings,
            roles,
        )
    )


def _context(context: Context, orders: Mapping[str, Any] | None, response: bytes) -> dict[str, Any]:
    members = {
        written: value
        for name, written, default in _members_of(type(context))
        if (value := getattr(context, name)) != default
    }
    user = context.user_id
    if user and user.encode() not in response:
        kind, slash, _ = user.rpartition("/")
        members["userId"] = f"{kind}/{_NOBODY}" if slash else _NOBODY
    drafts = getattr(context, "draft_orders", None)
    if orders is not None and drafts is not None and orders.get("drafts") == drafts:
        members[_DRAFTS] = _EMPTY
    return members


@cache
def _members_of(kind: type[Context]) -> tuple[tuple[str, str, Any], ...]:
    """Of each member that is kept its name here, its name in JSON and its default."""
    names, defaults = kind.__struct_fields__, kind.__struct_defaults__
    fields = zip(
        names, kind.__struct_encode_fields__, (NODEFAULT,) * (len(names) - len(defaults)) + defaults, strict=True
    )
    return tuple(field for field in fields if field[0] != "patient_id")


def _split(
    asked_orders: Mapping[str, Any], orders: Mapping[str, Any] | None
) -> tuple[tuple[str, ...], tuple[Raw, ...]]:
    """Return the names of those that stand in `orders` as they came, and the JSON of the others."""
    if not asked_orders:
        return (), ()
    drafts = (orders or {}).get("drafts")
    listed = [draft["resource"] for draft in drafts["entry"]] if isinstance(drafts, dict) else drafts
    orders_by_id = {id_of(order): order for order in listed} if isinstance(listed, list) else {}
    in_orders, other_orders = [], []
    for name, resource in asked_orders.items():
        if orders_by_id.get(name) == resource:
            in_orders.append(name)
        else:
            other_orders.append(Raw(_encode(resource)))
    return tuple(in_orders), tuple(other_orders)


def id_of(resource: Mapping[str, Any]) -> str:
    """Return the resource as Type/id."""
    return f"{resource.get('resourceType', '')}/{resource.get('id', '')}"


class FactsOfCall:
    """The facts of a decision, read again, with what its basis has of them."""

    def __init__(self, facts: bytes, chart: bytes | None, basis: OfBasis, patient_id: str) -> None:
        """Raise msgspec.MsgspecError where the facts, or the chart that belongs to them, cannot be read."""
        self._facts = _decoder.decode(facts)
        self._chart = decode_chart(chart) if chart is not None else None
        self._basis = basis
        self._patient_id = patient_id
        self.wants_timings: bool = self._facts.has_timings
        self.roles = self._facts.roles

    @property
    def patient(self) -> Patient | None:
        """The Patient of the chart."""
        return self._chart.patient if self._chart is not None else None

    def read_record(
        self,
        as_of: datetime,
        requested: frozenset[str] | None = None,
        encounter_id: str | None = None,
        opt_out_flags: frozenset[SystemAndCode] = frozenset(),
    ) -> PatientRecord:
        """Return the facts of the chart as of this instant; ChartNotRecorded where there is none."""
        if self._chart is None:
            raise ChartNotRecorded
        refusals = self._facts.refusals
        return record_of_chart(self._chart, self._patient_id, as_of, refusals, requested, encounter_id, opt_out_flags)

    @property
    def context(self) -> Raw:
        """The context of the request, with what the decision recorded of it."""
        members = {**self._facts.context, "patientId": Raw(_encode(self._patient_id))}
        orders = self._basis.orders
        if orders is not None and members.get(_DRAFTS) == _EMPTY:
            members[_DRAFTS] = orders.get("drafts", _EMPTY)
        return Raw(_encode(members))

    def filled(self, templates: Templates) -> FilledPrefetch:
        """Return the prefetch as it was known then, without its resources: those are in `record`."""
        recorded = _states.decode(self._basis.prefetch)
        states = tuple(
            self._state(template, recorded[template.key]) for template in templates if template.key in recorded
        )
        return FilledPrefetch({}, PrefetchState(states, self._facts.other))

    def _state(self, template: Template, recorded: Any) -> KeyState:
        members = recorded if isinstance(recorded, dict) else {"state": recorded}
        text = self._facts.texts.get(template.key, "")
        return KeyState(template, members["state"], members.get("reason", ""), members.get("cause", ""), text)

    @property
    def sent(self) -> tuple[bytes, ...]:
        """A body without prefetch, and the client's own orders as a page of its FHIR server."""
        wanted = frozenset(self._facts.sent_as_drafts)
        orders = [*self._facts.sent]
        if wanted:
            orders += [draft for draft in self._drafts() if id_of_raw(draft) in wanted]
        page = {"resourceType": "Bundle", "entry": [{"resource": order} for order in orders]}
        return b"{}", _encode(page)

    def _drafts(self) -> Iterator[Raw]:
        drafts = (self._basis.orders or {}).get("drafts")
        if drafts is None:
            return
        if bytes(drafts)[:1] == b"[":
            yield from msgspec.json.decode(drafts, type=tuple[Raw, ...])
        else:
            yield from (entry.resource for entry in msgspec.json.decode(drafts, type=_Bundle).entry)


def recorded_resources(facts: bytes, chart: bytes, patient_id: str, at: datetime) -> list[dict[str, Any]]:
    """Return the resources of the chart that was recorded with a decision made at this instant.

    Raises:
        msgspec.MsgspecError: the facts or the chart cannot be read.
    """
    record = FactsOfCall(facts, chart, OfBasis(), patient_id).read_record(at)
    resources: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(list(record.every_fact())))
    return resources


def id_of_raw(resource: Raw) -> str:
    """Return the resource, which was not decoded, as Type/id."""
    head = _head.decode(resource)
    return f"{head.resourceType}/{head.id}"
