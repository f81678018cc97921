"""What a payer's rules would ask for over the orders of charts that nobody calls about."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from cards.coverage.determination import Circumstances, determine
from cards.coverage.evidence import Subject, participants_of
from cards.coverage.order import ORDER_TYPES, Json, read_order
from cards.coverage.policy import Payer, Policies
from fhir.record.reading import read_record, read_value


def simulate_orders(content: bytes, rules: Policies, payer: Payer, as_of: datetime) -> Iterator[tuple[str, str, str]]:
    """Yield for each order of a Bundle with a rule its code, and what is said of coverage and authorization."""
    try:
        bundle = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    resources: list[Json] = [entry["resource"] for entry in entries or () if isinstance(entry.get("resource"), dict)]
    by_type: dict[str, list[Json]] = {}
    for resource in resources:
        by_type.setdefault(str(resource.get("resourceType")), []).append(resource)
    patients = by_type.get("Patient", [])
    if len(patients) != 1:
        return
    value, _ = read_value("chart", content)
    record = read_record({"chart": value}, str(patients[0].get("id")), as_of, on_other_patient="refuse")
    locations = {f"Location/{location.get('id')}": location for location in by_type.get("Location", [])}
    facts = (read_order(resource, locations) for kind in ORDER_TYPES[:6] for resource in by_type.get(kind, ()))
    orders = [order for order in facts if order is not None]
    states = [address.get("state") for address in patients[0].get("address") or () if address.get("state")]
    here = Circumstances(
        rules,
        Subject(record, as_of.date(), None, participants_of(by_type.get("Encounter", []))),
        str(states[0]) if states else None,
        by_type.get("ClaimResponse", []),
        {},
        {order.reference: frozenset(code for _, code in order.codes) for order in orders},
    )
    for order in orders:
        answer = determine(order, {"id": "simulated", "status": "active"}, payer, here)
        if answer is not None and answer.code is not None:
            yield answer.code[1], answer.covered, answer.pa_needed or ""
