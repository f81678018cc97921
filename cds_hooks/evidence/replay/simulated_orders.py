"""What the rules would say: each order of a chart, put back to the moment it was written, against what was known then.

The tool a pharmacy committee needs before switching on. Facts dated after the order are left out; an earlier order
counts as active where it had not ended by then. The order itself becomes the draft.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import count
from typing import Any, Final

import orjson
from msgspec import Struct, field

from cards.card import Card
from cards.compose.high_alert import NOT_COVERED
from cards.orders import check_orders
from cards.rules.engine.governance import SuppressionCheck, suppress_nothing
from cards.rules.patient.orders import DraftOrder, read_draft
from fhir.record.datatypes import parse_time
from fhir.record.record import read_record
from fhir.record.refusals import WrongPatient
from fhir.record.resources import decoder

Resource = dict[str, Any]

# Where a resource says when it became known, the first that is there.
_DATES = {
    "Observation": ("effectiveDateTime", "effectiveInstant", "issued"),
    "Condition": ("recordedDate", "onsetDateTime"),
    "MedicationRequest": ("authoredOn",),
    "MedicationStatement": ("dateAsserted", "effectiveDateTime"),
    "MedicationDispense": ("whenHandedOver", "whenPrepared"),
    "MedicationAdministration": ("effectiveDateTime",),
    "AllergyIntolerance": ("recordedDate", "onsetDateTime"),
    "Procedure": ("performedDateTime",),
    "ServiceRequest": ("authoredOn", "occurrenceDateTime"),
}
_PERIODS = {"Observation": "effectivePeriod", "Encounter": "period", "Procedure": "performedPeriod"}
_WITHOUT_DATE = frozenset({"Patient", "Medication"})
_KEPT = frozenset({*_DATES, *_PERIODS, *_WITHOUT_DATE})
_NEVER_GIVEN = frozenset({"entered-in-error", "cancelled", "draft"})


class SimulatedFinding(Struct, frozen=True):
    """One finding about one order: rule, band, indicator of its card, and what the card says first."""

    rule: str
    band: str
    indicator: str
    drug: str
    summary: str


_AGES: Final = (18, 40, 65, 75)
NOT_KNOWN: Final = "not known"


def group_of(sex: object, birth_date: object, on: date) -> str:
    """Return the group of a patient by sex and age on a day; NOT_KNOWN without a whole date of birth."""
    try:
        born = date.fromisoformat(str(birth_date or "")[:10])
    except ValueError:
        return NOT_KNOWN
    return group_words(str(sex or "sex not known"), (on - born).days / 365.25)


def group_words(sex: str, age_years: float) -> str:
    """Return a group in words: "female, 40 to 64"."""
    under = next((limit for limit in _AGES if age_years < limit), None)
    if under is None:
        return f"{sex}, {_AGES[-1]} and over"
    least = max((limit for limit in _AGES if limit < under), default=0)
    return f"{sex}, {least} to {under - 1}"


class SimulatedOrders(Struct):
    """The results for all orders: `findings` has the findings by rule."""

    orders: int = 0
    charts: int = 0
    not_recognised: int = 0
    with_card: int = 0
    indicators: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[SimulatedFinding]] = field(default_factory=dict)
    not_covered: int = 0
    """Of the cards, those that name a high-alert drug that no rule is about: once for each drug of a patient."""

    def per_100(self, number: int) -> float:
        """So many per 100 orders."""
        return 100 * number / self.orders if self.orders else 0.0


def simulate(
    simulation: SimulatedOrders,
    resources: Sequence[Resource],
    most_orders: int,
    suppress: SuppressionCheck = suppress_nothing,
) -> None:
    """Add the medication orders of a chart, evenly chosen over its time where there are more than `most_orders`."""
    resources = _each_once(resources)
    orders = sorted(_orders(resources), key=lambda dated: dated[0])
    if not orders:
        return
    simulation.charts += 1
    step = max(1.0, len(orders) / most_orders)
    texts: set[str] = set()
    for position in range(min(most_orders, len(orders))):
        instant, order = orders[int(position * step)]
        _add(simulation, resources, order, instant, suppress, texts)


def _each_once(resources: Iterable[Resource]) -> list[Resource]:
    """Return the resources without those that stand in the export twice: an order is no duplicate of itself."""
    resources_by_key: dict[object, Resource] = {}
    for resource in resources:
        resources_by_key.setdefault(
            (resource.get("resourceType"), resource["id"]) if resource.get("id") else id(resource), resource
        )
    return list(resources_by_key.values())


def _orders(resources: Iterable[Resource]) -> Iterator[tuple[float, Resource]]:
    for resource in resources:
        if (
            resource.get("resourceType") == "MedicationRequest"
            and resource.get("status") not in _NEVER_GIVEN
            and resource.get("id")
        ):
            written = parse_time(resource["authoredOn"]) if isinstance(resource.get("authoredOn"), str) else None
            if written is not None:
                yield written.instant, resource


def _add(
    simulation: SimulatedOrders,
    resources: Sequence[Resource],
    order: Resource,
    instant: float,
    suppress: SuppressionCheck,
    texts: set[str],
) -> None:
    known_resources = [
        _as_it_was(resource, instant)
        for resource in resources
        if resource is not order and _is_known(resource, instant)
    ]
    entries = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": resource} for resource in known_resources],
    }
    patient = next((resource.get("id", "") for resource in resources if resource.get("resourceType") == "Patient"), "")
    try:
        record = read_record({"chart": decoder.decode(orjson.dumps(entries))}, patient, _moment(instant))
    except (WrongPatient, ValueError):
        return
    draft = read_draft({**order, "status": "draft"}, position=0)
    numbers = count(1)
    # Orders that were written are orders that were signed: nothing more was entered.
    outcome = check_orders(record, [draft], None, lambda: f"simulated-{next(numbers)}", suppress=suppress, signing=True)
    simulation.orders += 1
    simulation.not_recognised += any(
        silence.reason == "not-recognised" and silence.subject == draft.name for silence in outcome.silences
    )
    for card in outcome.cards:
        if card.own_extension.output == NOT_COVERED:
            drugs = {str(fact.value) for fact in card.own_extension.facts}
            if drugs <= texts:
                continue
            texts |= drugs
            simulation.not_covered += 1
        simulation.with_card += 1
        simulation.indicators[card.indicator] += 1
        for finding in _findings_of(card, draft):
            simulation.findings.setdefault(finding.rule, []).append(finding)


def _findings_of(card: Card, draft: DraftOrder) -> Iterator[SimulatedFinding]:
    extension = card.own_extension
    drug = next((fact.value for fact in extension.facts if fact.name == "draft"), draft.name)
    for finding in extension.findings:
        yield SimulatedFinding(finding.rule, finding.band, card.indicator, str(drug), card.summary)


def _moment(instant: float) -> datetime:
    return datetime.fromtimestamp(instant, UTC)


# The chart as it was


def _is_known(resource: Resource, instant: float) -> bool:
    kind = resource.get("resourceType")
    if kind not in _KEPT:
        return False
    if kind in _WITHOUT_DATE:
        return True
    when = _known_since(resource)
    return when is not None and when <= instant


def _known_since(resource: Resource) -> float | None:
    kind = resource["resourceType"]
    texts = [resource.get(name) for name in _DATES.get(kind, ())]
    period = resource.get(_PERIODS.get(kind, ""))
    texts.append(period.get("start") if isinstance(period, dict) else None)
    for text in texts:
        time = parse_time(text) if isinstance(text, str) else None
        if time is not None:
            return time.instant
    # A problem or an allergy without a date has always been there.
    return float("-inf") if kind in ("Condition", "AllergyIntolerance") else None


def _as_it_was(resource: Resource, instant: float) -> Resource:
    """Return an order or a visit that had not ended by then was going on, whatever became of it since."""
    kind = resource["resourceType"]
    if kind == "MedicationRequest" and resource.get("status") in ("completed", "stopped", "active"):
        end = _end_of(resource)
        if end is not None:
            return {**resource, "status": "active" if end > instant else "completed"}
    if kind == "Encounter":
        period = resource.get("period")
        times = period if isinstance(period, dict) else {}
        over = parse_time(times["end"]) if isinstance(times.get("end"), str) else None
        if over is not None and over.instant > instant:
            return {**resource, "status": "in-progress", "period": {"start": times.get("start")}}
    return resource


def _end_of(order: Resource) -> float | None:
    supply = order.get("dispenseRequest")
    validity = supply.get("validityPeriod") if isinstance(supply, dict) else None
    text = validity.get("end") if isinstance(validity, dict) else None
    end = parse_time(text) if isinstance(text, str) else None
    return end.instant if end is not None else None
