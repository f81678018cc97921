"""The client's own JSON of its active medication orders: an order that is stopped or changed keeps all it carried."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Raw

from cds_hooks.protocol.depth import is_deeper

Json = dict[str, Any]


class _Body(msgspec.Struct):
    prefetch: dict[str, Raw] | None = None


class ChartedOrders:
    """The MedicationRequests of a call's body and of the pages of the client's FHIR server after it.

    They are decoded when the first one is asked for: most answers stop or change none.
    """

    def __init__(self, sent: tuple[bytes, ...]) -> None:
        self._sent = sent

    @cached_property
    def by_id(self) -> dict[str, Json]:
        """Every order by its id."""
        if not self._sent:
            return {}
        body, *pages = self._sent
        values = [bytes(raw) for raw in (msgspec.json.decode(body, type=_Body).prefetch or {}).values()]
        holding = [_decoded(raw) for raw in (*values, *pages) if b'"MedicationRequest"' in raw]
        orders = (each for value in holding for each in _resources(value))
        return {each["id"]: each for each in orders if isinstance(each.get("id"), str)}

    def original(self, reference: str) -> Json | None:
        """The order that a reference such as 'MedicationRequest/7' names, None when it did not come along."""
        kind, _, identity = reference.partition("/")
        found = self.by_id.get(identity) if kind == "MedicationRequest" else None
        return found if found is not None and found.get("resourceType") == kind else None


def _decoded(raw: bytes) -> Any:
    """The JSON; None where an element that nobody read so far is none, or is too deep."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return None if is_deeper(value) else value


def _resources(value: Any) -> Iterator[Json]:
    if not isinstance(value, dict):
        return
    if "resourceType" in value and value["resourceType"] != "Bundle":
        yield value
        return
    for entry in [*dicts(value.get("entry")), value]:  # before CDS Hooks 1.0 the value itself was a wrapper
        yield from _resources(entry.get("resource"))


def dicts(value: Any) -> list[Json]:
    """The objects of a list, or the one that stands where a list should."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
