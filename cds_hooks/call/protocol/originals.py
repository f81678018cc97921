"""Finds the draft orders and the orders of a call as the client sent them, for suggestions that give them back."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Raw

from cds_hooks.call.protocol.body import MOST_LEVELS, is_nested_deeper, may_be_deep
from cds_hooks.errors import BadRequest, TooDeep, not_a_bundle
from fhir.record.datatypes import decode_exactly
from fhir.record.record import BrokenResource

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


class _Node(msgspec.Struct):
    """A resource, a Bundle, an entry of one, or the wrapper that stood around a value before CDS Hooks 1.0."""

    resourceType: Any = None
    id: Any = None
    entry: Raw = Raw(b"[]")
    resource: Raw = Raw(b"null")


_node: Final = msgspec.json.Decoder(_Node)
_nodes: Final = msgspec.json.Decoder(list[Raw])


class OriginalOrders:
    """The orders of one type of a call's body and of the pages of the client's FHIR server after it.

    They are found when the first one is asked for, because most answers stop or change none; only what is asked for is
    decoded.
    """

    def __init__(self, sent: tuple[bytes, ...], kind: str = "MedicationRequest") -> None:
        sent = sent if isinstance(sent, Sent) else Sent(sent)
        kinds = sent.kinds  # of what could not be read wholly the types are not known.
        is_absent = kinds and BrokenResource not in kinds and kind not in [of.__struct_config__.tag for of in kinds]
        self._sent = NOTHING_SENT if is_absent else sent
        self._kind = kind

    @cached_property
    def _found(self) -> dict[str, Raw | bytes]:
        """The resources of the type in all values of prefetch and pages, as they came, by id; of two the later."""
        kind = f'"{self._kind}"'.encode()
        values = (raw for raw in reversed(self._sent.values) if kind in raw)
        resources = (resource for raw in values for resource in _resources(raw))
        of_kind = ((node.id, raw) for node, raw in resources if node.resourceType == self._kind)
        return {identity: raw for identity, raw in of_kind if isinstance(identity, str)}

    def by_id(self, identity: str) -> Json | None:
        """Return the order of this id, None when it did not come along; of two the later."""
        raw = self._found.get(identity, b"null")
        decoded: Json | None = _decoded(raw)
        if decoded is None or (may_be_deep(bytes(raw)) and is_nested_deeper(decoded)):
            return None
        self._sent.given[f"{self._kind}/{identity}"] = decoded
        return decoded

    def every(self) -> list[Json]:
        """Return all resources of the type that have an id, in the order in which they came."""
        return [resource for identity in self._found if (resource := self.by_id(identity)) is not None]

    def original(self, reference: str) -> Json | None:
        """Return the order that a reference such as 'MedicationRequest/7' names, None when it did not come along."""
        kind, _, identity = reference.partition("/")
        return self.by_id(identity) if kind == self._kind else None


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


def _resources(raw: bytes | Raw, depth: int = 0) -> Iterator[tuple[_Node, bytes | Raw]]:
    """Yield the resources of a value, of the Bundles inside it too, each with its JSON."""
    try:
        node = _node.decode(raw)
        if node.resourceType not in (None, "Bundle"):
            yield node, raw
            return
        entries = _nodes.decode(node.entry) if bytes(node.entry)[:1] == b"[" else [node.entry]
    except (msgspec.DecodeError, RecursionError):
        return
    for entry in (*entries, raw) if depth < MOST_LEVELS else ():
        with suppress(msgspec.DecodeError, RecursionError):
            yield from _resources(_node.decode(entry).resource, depth + 1)
