"""Decodes FHIR JSON; what the typed decoder rejects is decoded piece by piece.

One broken resource then does not make the others unreadable.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from fhir.record.datatypes import LONGEST_TEXT, Subject
from fhir.record.refusal import Refusal
from fhir.record.resources import Bundle, BundleEntry, BundleLink, OtherResource, decoder


class BrokenResource(OtherResource, frozen=True, gc=False, tag="(broken)"):
    """An unreadable resource, of which only type, id and subject are known; it is never used as a fact."""

    resource_type: str = "resource"


_NULL = Raw(b"null")


class _Head(Struct, frozen=True):
    resourceType: str | None = None
    id: Any = None
    subject: Any = None
    patient: Any = None


class _RawEntry(Struct, frozen=True):
    fullUrl: str | None = None
    resource: Raw = _NULL


class _RawBundle(Struct, frozen=True):
    entry: tuple[Raw, ...] = ()
    link: tuple[BundleLink, ...] = ()
    type: str | None = None
    total: int | None = None


_head = msgspec.json.Decoder(_Head)
_raw_bundle = msgspec.json.Decoder(_RawBundle)
_raw_entry = msgspec.json.Decoder(_RawEntry)


def read_value(name: str, raw: bytes | Raw) -> tuple[Any, list[Refusal]]:
    """A lean resource or Bundle (or None for null) and what in it could not be read; `name` is its prefetch key.

    Raises msgspec.DecodeError only where the bytes are no JSON at all.
    """
    try:
        return (None if bytes(raw) == b"null" else decoder.decode(raw)), []
    except msgspec.ValidationError as error:
        head = _head_of(raw)
        if head is None or head.resourceType is None:
            text = f"prefetch.{name} is no FHIR resource (an object with resourceType): not used."
            return None, [Refusal(f"prefetch.{name}", "not-a-resource", text)]
        if head.resourceType == "Bundle":
            return _read_bundle(name, raw)
        return _read_shortened(raw, f"prefetch.{name}", head, error)


def _read_bundle(name: str, raw: bytes | Raw) -> tuple[Bundle | None, list[Refusal]]:
    try:
        bundle = _raw_bundle.decode(raw)
    except msgspec.ValidationError as error:
        return None, [Refusal(f"prefetch.{name}", "unreadable", f"prefetch.{name}: {_where(error)}: not used.")]
    entries: list[BundleEntry] = []
    refusals: list[Refusal] = []
    for position, raw_entry in enumerate(bundle.entry):
        entry, refused = _read_entry(f"prefetch.{name}.entry[{position}]", raw_entry)
        entries.append(entry)
        refusals += refused
    return Bundle(type=bundle.type, total=bundle.total, link=bundle.link, entry=tuple(entries)), refusals


def _read_entry(place: str, raw: Raw) -> tuple[BundleEntry, list[Refusal]]:
    try:
        entry = _raw_entry.decode(raw)
    except msgspec.ValidationError as error:
        return BundleEntry(), [Refusal(place, "unreadable", f"{place}: {_where(error)}: not used.")]
    if bytes(entry.resource) == b"null":
        return BundleEntry(fullUrl=entry.fullUrl), []
    try:
        return BundleEntry(fullUrl=entry.fullUrl, resource=decoder.decode(entry.resource)), []
    except msgspec.ValidationError as error:
        resource, refused = _read_shortened(entry.resource, place, _head_of(entry.resource) or _Head(), error)
        return BundleEntry(fullUrl=entry.fullUrl, resource=resource), refused


def _read_shortened(
    raw: bytes | Raw, place: str, head: _Head, error: msgspec.ValidationError
) -> tuple[Any, list[Refusal]]:
    """A resource whose texts are too long, with these cut; what cannot be read for another reason is broken."""
    broken = _broken(head)
    if f"length <= {LONGEST_TEXT}" not in str(error):
        return broken, [_refusal(broken, place, error)]
    try:
        resource = decoder.decode(msgspec.json.encode(_shortened(msgspec.json.decode(raw))))
    except msgspec.ValidationError as other:
        return broken, [_refusal(broken, place, other)]
    name = f"{broken.resource_type}/{broken.id}" if broken.id else place
    text = f"A text of {name} was longer than {LONGEST_TEXT:,} characters: what follows was not read."
    return resource, [Refusal(name, "text-cut", text)]


def _shortened(value: Any) -> Any:
    """The same JSON value with every text cut to the length that is read."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else f"{value[: LONGEST_TEXT - 1]}…"
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    return {name: _shortened(each) for name, each in value.items()} if isinstance(value, dict) else value


def _head_of(raw: bytes | Raw) -> _Head | None:
    try:
        return _head.decode(raw)
    except msgspec.ValidationError:
        return None


def _broken(head: _Head) -> BrokenResource:
    kind = head.resourceType if head.resourceType and head.resourceType.isalpha() else "resource"
    identity = head.id if isinstance(head.id, str) else None
    return BrokenResource(
        id=identity, subject=_reference(head.subject), patient=_reference(head.patient), resource_type=kind
    )


def _reference(value: Any) -> Subject | None:
    reference = value.get("reference") if isinstance(value, dict) else None
    return Subject(reference=reference) if isinstance(reference, str) else None


def _refusal(broken: BrokenResource, place: str, error: msgspec.ValidationError) -> Refusal:
    name = f"{broken.resource_type}/{broken.id}" if broken.id else place
    return Refusal(name, "unreadable", f"{name} cannot be read ({_where(error)}): not used, the rest stands.")


def _where(error: msgspec.ValidationError) -> str:
    # msgspec repeats a value only for an unknown resourceType; that is no patient data, but it may be anything.
    text = str(error)
    return "its resourceType is no FHIR R4 type" if text.startswith("Invalid value") else text.replace("`", "")
