"""Finds the draft orders and the orders of a call as the client sent them, for suggestions that give them back."""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Raw

from cds_hooks.call.protocol.body import is_nested_deeper, may_be_deep
from cds_hooks.errors import BadRequest, TooDeep, not_a_bundle
from fhir.record.datatypes import decode_exactly
from fhir.record.record import BrokenResource
from fhir.record.repair import objects_in

Json = dict[str, Any]


class _Body(msgspec.Struct):
    prefetch: dict[str, Raw] | None = None


class Sent(tuple[bytes, ...]):
    """The body of a call and the pages of the client's FHIR server, and which orders were asked for in them."""

    given: dict[str, Json]
    """What was given, by Type/id."""
    kinds: Collection[type[Any]]
    """The types of the resources in them; empty where it is not known: they are looked for then."""

    def __new__(cls, bodies: Iterable[bytes], kinds: Collection[type[Any]] = ()) -> "Sent":
        """Of these bodies; nothing was asked for yet."""
        bodies_with_orders = super().__new__(cls, bodies)
        bodies_with_orders.given, bodies_with_orders.kinds = {}, kinds
        return bodies_with_orders

    @cached_property
    def values(self) -> tuple[bytes, ...]:
        """The pages and the values of prefetch, the later first; split once for all types that are asked for."""
        if not self:
            return ()
        body, *pages = self
        values = (msgspec.json.decode(body, type=_Body).prefetch or {}).values()
        return (*reversed(pages), *map(bytes, reversed(values)))


NOTHING_SENT: Final = Sent(())
"""Of a service that returns no orders of the client."""


class OriginalOrders:
    """The orders of one type of a call's body and of the pages of the client's FHIR server after it.

    They are found when the first one is asked for: most answers stop or change none. What is written as nearly every
    client writes it is found by its first bytes, and only that is decoded (1.4 of 34 million instructions of an
    order-sign call less than decoding all values); for the rest the values that name the type are decoded.
    """

    def __init__(self, sent: tuple[bytes, ...], kind: str = "MedicationRequest") -> None:
        sent = sent if isinstance(sent, Sent) else Sent(sent)
        kinds = sent.kinds  # of what could not be read wholly the types are not known.
        is_absent = kinds and BrokenResource not in kinds and kind not in [of.__struct_config__.tag for of in kinds]
        self._sent = NOTHING_SENT if is_absent else sent
        self._kind = kind

    @cached_property
    def _places(self) -> dict[str, tuple[bytes, int]]:
        """Where the resources of the type begin that are written without blanks, the later of two; by id."""
        begins = f'"resource":{{"resourceType":"{self._kind}","id":"'.encode()
        places: dict[str, tuple[bytes, int]] = {}
        for number, text in enumerate(self._sent):
            start_of_match = text.find(begins, 0 if number else _start_of_prefetch(text))
            while start_of_match != -1:
                start = start_of_match + len(begins)
                identity = text[start : text.find(b'"', start)]
                if identity.isascii() and b"\\" not in identity:
                    places[identity.decode()] = text, start_of_match + len(b'"resource":')
                start_of_match = text.find(begins, start)
        return places

    @cached_property
    def _decoded(self) -> dict[str, Json]:
        """The resources of the type in all values of prefetch and pages, whatever is around them; of two the later."""
        kind = f'"{self._kind}"'.encode()
        resources = (
            resource for raw in reversed(self._sent.values) if kind in raw for resource in _resources(_decoded(raw))
        )
        of_kind = (resource for resource in resources if resource.get("resourceType") == self._kind)
        return {resource["id"]: resource for resource in of_kind if isinstance(resource.get("id"), str)}

    def by_id(self, identity: str) -> Json | None:
        """Return the order of this id, None when it did not come along; of two the later."""
        position = self._places.get(identity)
        decoded = _decoded(_object_at(*position)) if position is not None else self._decoded.get(identity)
        if not isinstance(decoded, dict) or decoded.get("resourceType") != self._kind or is_nested_deeper(decoded):
            return None
        self._sent.given[f"{self._kind}/{identity}"] = decoded
        return decoded

    def every(self) -> list[Json]:
        """Return all resources of the type that have an id, in the order in which they came."""
        return [resource for identity in self._decoded if (resource := self.by_id(identity)) is not None]

    def original(self, reference: str) -> Json | None:
        """Return the order that a reference such as 'MedicationRequest/7' names, None when it did not come along."""
        kind, _, identity = reference.partition("/")
        return self.by_id(identity) if kind == self._kind else None


_TOKENS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)|[{}]')


def _object_at(text: bytes, start: int) -> bytes:
    """Return the JSON object that begins there."""
    depth = 0
    for token in _TOKENS.finditer(text, start):
        sign = token[0]
        if sign == b"{":
            depth += 1
        elif sign == b"}":
            depth -= 1
            if not depth:
                return text[start : token.end()]
    return text[start:]


def _start_of_prefetch(body: bytes) -> int:
    """Return where prefetch begins in a body whose context, with the drafts in it, stands before it; else its end."""
    start = body.find(b',"prefetch":')
    head = body[: max(start, 0)]
    return start if b'"context"' in head and b'"patientId"' in head else len(body)


def _decoded(raw: bytes | Raw) -> Any:
    """Return the decoded JSON; None where it is invalid or nested too deeply for a decoder."""
    try:
        return decode_exactly(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def entries_in(raw: bytes | Raw, where: str, alone: tuple[str, ...] = ()) -> list[Any]:
    """Return the entries of a Bundle of the context (`where`); a resource of a type in `alone` stands for itself.

    Raises:
        BadRequest: It is not JSON, or not a Bundle.
        TooDeep: It is nested deeper than any order.
    """
    deep, nothing = "The orders are nested deeper than any order; nothing was checked.", "No order was checked."
    try:
        bundle = decode_exactly(raw)
    except RecursionError as error:
        raise TooDeep(deep, where) from error
    except msgspec.DecodeError as error:
        raise BadRequest(f"`{where}` must be JSON and cannot be read. {nothing}", where) from error
    if may_be_deep(bytes(raw)) and is_nested_deeper(bundle):
        raise TooDeep(deep, where)
    kind = bundle.get("resourceType") if isinstance(bundle, dict) else None
    entries = bundle.get("entry", []) if kind == "Bundle" else [{"resource": bundle}] if kind in alone else None
    if not isinstance(entries, list):
        raise BadRequest(not_a_bundle(bundle, where, nothing), where)
    return entries


def _resources(value: Any) -> Iterator[Json]:
    if not isinstance(value, dict):
        return
    if "resourceType" in value and value["resourceType"] != "Bundle":
        yield value
        return
    for entry in [*objects_in(value.get("entry")), value]:  # before CDS Hooks 1.0 the value itself was a wrapper
        yield from _resources(entry.get("resource"))
