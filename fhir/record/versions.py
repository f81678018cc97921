"""Which of several resources with one type and id are facts: the newest of versions, and each of different contents.

FHIR R4 (resource, 2.26): an id is unique for its type on one server. Charts that were put together from several sources
and histories of a resource hold the same id more than once.
"""

from collections.abc import Iterable, Iterator
from operator import attrgetter, eq
from typing import Any, Final

from msgspec.json import encode
from msgspec.structs import asdict

from fhir.record.datatypes import CodeableConcept, parse_time
from fhir.record.refusals import Refusal

SAME_ID: Final = "same-id"
"""The reason of what is said where two contents came under one id."""

# Of two that differ in nothing else, and of two results of one time: the status that comes later in the life of the
# resource (FHIR R4, the state machines of each status). A word that stands in none is as early as any other.
_LATER: Final = {
    status: rank
    for rank, statuses in enumerate(
        (
            "final active confirmed",
            "amended appended on-hold",
            "corrected completed stopped cancelled revoked finished resolved inactive",
            "refuted not-done",
            "entered-in-error",
        ),
        1,
    )
    for status in statuses.split()
}
_STATUSES: Final = frozenset({"status", "clinicalStatus", "verificationStatus", "meta"})
_WHAT: Final = ("code", "medicationCodeableConcept", "medicationReference", "vaccineCode", "type", "relationship")
_RESULTS: Final = frozenset({"Observation", "DiagnosticReport"})
_NOT_A_VALUE: Final = frozenset({"code", "effectiveDateTime", "effectivePeriod", "effectiveInstant", "subject"})
_id: Final = attrgetter("id")


def distinct(resources: list[Any], refusals: list[Refusal]) -> list[Any]:
    """Return the resources of one kind that count: the same one once, of versions the newest.

    The same one comes under two prefetch keys, on two pages of a search, or twice in one. Different contents under one
    id that are no versions of each other are all kept, and that is said.
    """
    if len(set(map(_id, resources))) == len(resources):
        return resources
    by_identity: dict[str | bytes, list[Any]] = {}
    for resource in resources:
        by_identity.setdefault(encode(resource) if resource.id is None else resource.id, []).append(resource)
    kept: list[Any] = []
    for alike in by_identity.values():
        contents = [alike[0]] if alike[0].id is None or len(alike) == 1 else _newest_of(_different(alike))
        kept += contents
        if len(contents) > 1:
            name = f"{contents[0].__struct_config__.tag}/{contents[0].id}"
            text = (
                f"{len(contents)} different contents came under the same id {name}: each is used as a fact of its own."
            )
            refusals.append(Refusal(name, SAME_ID, text))
    return kept


def each_once(resources: list[Any]) -> list[Any]:
    """Return the resources of one kind each once, where those of one id are all equal; else all of them."""
    ids = list(map(_id, resources))
    if len(set(ids)) == len(resources):
        return resources
    if None in ids:
        ids = [resource.id or encode(resource) for resource in resources]
    by_id = dict(zip(ids, resources, strict=True))
    is_same = all(map(eq, resources, map(by_id.__getitem__, ids)))  # mostly: a result that answers two keys
    return list(by_id.values()) if is_same else resources


def _different(resources: Iterable[Any]) -> list[Any]:
    """Return each content once; one that only lacks elements of another is the same (a search with `_elements`)."""
    kept: list[Any] = []
    for resource in resources:
        for position, other in enumerate(kept):
            if _is_part_of(resource, other):
                break
            if _is_part_of(other, resource):
                kept[position] = resource
                break
        else:
            kept.append(resource)
    return kept


def _is_part_of(resource: Any, other: Any) -> bool:
    return resource == other or all(
        getattr(resource, name) in (getattr(other, name), default) for name, default in _defaults_of(resource)
    )


def _defaults_of(resource: Any) -> Iterator[tuple[str, Any]]:
    names, defaults = resource.__struct_fields__, resource.__struct_defaults__
    required = len(names) - len(defaults)
    yield from ((name, object()) for name in names[:required])
    yield from zip(names[required:], defaults, strict=True)


def _newest_of(resources: list[Any]) -> list[Any]:
    """Return the resources of one id without those of which another one is a later version."""
    return [
        resource
        for resource in resources
        if not any(_is_earlier(resource, other) for other in resources if other is not resource)
    ]


def _is_earlier(resource: Any, other: Any) -> bool:
    if not all(getattr(resource, name, None) == getattr(other, name, None) for name in _WHAT):
        return False
    version, other_version = _version(resource), _version(other)
    for number, other_number in zip(version, other_version, strict=True):
        if number is not None and other_number is not None and number != other_number:
            return number < other_number
    return _may_be_versions(resource, other) and _rank(resource) < _rank(other)


def _version(resource: Any) -> tuple[float | None, float | None]:
    """Return the number of its version and the epoch second of its last change, None where they are not known."""
    meta = resource.meta
    if meta is None:
        return None, None
    number = (meta.versionId or "").removeprefix("W/").strip('"')
    changed = parse_time(meta.lastUpdated)
    return float(number) if number.isascii() and number.isdigit() else None, changed.instant if changed else None


def _may_be_versions(resource: Any, other: Any) -> bool:
    """Whether two contents without comparable versions differ as two versions do."""
    members, others = asdict(resource), asdict(other)
    differing = {name for name in members if members[name] != others[name]}
    if str(resource.__struct_config__.tag) in _RESULTS:
        return differing.isdisjoint(_NOT_A_VALUE)
    return differing <= _STATUSES


def _rank(resource: Any) -> int:
    return max((_LATER.get(code, 0) for code in _codes_of_status(resource)), default=0)


def _codes_of_status(resource: Any) -> Iterator[str]:
    for name in ("status", "clinicalStatus", "verificationStatus"):
        stated = getattr(resource, name, None)
        if isinstance(stated, CodeableConcept):
            yield from (coding.code for coding in stated.coding)
        elif stated:
            yield stated
