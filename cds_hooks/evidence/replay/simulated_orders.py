"""What the rules would say: each order of a chart, put back to the moment it was written, against what was known then.

The tool a pharmacy committee needs before switching on. Facts dated after the order are left out; an earlier order
counts as active where it had not ended by then. The order itself becomes the draft.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import count
from typing import Any, Final

from msgspec import Struct, field

from cards.card import Card
from cards.compose.high_alert import NOT_COVERED
from cards.orders import check_orders
from cards.rules.engine.governance import SuppressionCheck, suppress_nothing
from cards.rules.patient.orders import DraftOrder, read_draft
from fhir.record.charts import known_at, time_of
from fhir.record.record import record_from_resources

Resource = dict[str, Any]

_NEVER_GIVEN = frozenset({"entered-in-error", "cancelled", "draft"})
_WAS_GIVEN = frozenset({"completed", "stopped", "active"})
# Without one of these times a problem or an allergy has always been there.
_SINCE = {
    "Condition": ("recordedDate", "onsetDateTime", "onsetPeriod.start"),
    "AllergyIntolerance": ("recordedDate", "onsetDateTime"),
}


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
            written = time_of(resource, "authoredOn")
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
    others = [resource for resource in resources if resource is not order and resource.get("resourceType") != "Patient"]
    patient = next((resource for resource in resources if resource.get("resourceType") == "Patient"), {})
    as_of = datetime.fromtimestamp(instant, UTC)
    record = record_from_resources(_known_then(patient, others, instant), patient.get("id", ""), as_of)
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


# The chart as it was


def _known_then(patient: Resource, resources: Iterable[Resource], instant: float) -> list[Resource]:
    """Return what was known, as a call of that moment would have read it."""
    dated, always = list[Resource](), list[Resource]()
    for resource in resources:
        paths = _SINCE.get(str(resource.get("resourceType")))
        is_dated = paths is None or any(time_of(resource, path) is not None for path in paths)
        (dated if is_dated else always).append(_order_then(resource, instant))
    return [*known_at(patient, dated, instant, as_written=True), *always]


def _order_then(resource: Resource, instant: float) -> Resource:
    """Return an order that had not ended by then as one that was going on, whatever became of it since."""
    if resource.get("resourceType") == "MedicationRequest" and resource.get("status") in _WAS_GIVEN:
        end = time_of(resource, "dispenseRequest.validityPeriod.end")
        if end is not None:
            return {**resource, "status": "active" if end.instant > instant else "completed"}
    return resource
