"""Resources of one patient, small, for tests of the simulated client."""

from datetime import UTC, date, datetime
from typing import Any

Json = dict[str, Any]
PATIENT: Json = {"resourceType": "Patient", "id": "p1"}
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
TODAY = date(2026, 11, 20)


def stay(identity: str, start: str | None = None, **more: Any) -> Json:
    return {"resourceType": "Encounter", "id": identity} | ({"period": {"start": start}} if start else {}) | more


def order(identity: str, **more: Any) -> Json:
    return {"resourceType": "ServiceRequest", "id": identity, "status": "active"} | more
