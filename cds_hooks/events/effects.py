"""What one message or notification brings: facts in the order of the sender, merges, and what was counted about it."""

import hashlib
from collections import Counter
from typing import Any, Literal

from msgspec import Struct, field

How = Literal["put", "visit", "demographics", "known-or-new"]
"""How a fact meets the one that is there: takes its place, as a visit, as demographics, or only where none is there."""


class Fact(Struct, frozen=True):
    """One FHIR resource of a patient.

    `at` orders the versions of a resource by the sender's clock; of two at the same instant the one with the higher
    `rank` counts, and of equal ones the later arrival.
    """

    patient: str
    resource: dict[str, Any]
    at: float
    rank: int = 0
    how: How = "put"
    happened: float | None = None
    """When it was true of the patient, in epoch seconds; None where that is not known."""
    key: tuple[str, ...] = ()
    """What its id was made of by `resource_id`: the namespace, the kind, the patient, and numbers of the sender."""

    @property
    def type(self) -> str:
        """The resource type."""
        return str(self.resource["resourceType"])

    @property
    def id(self) -> str:
        """The id, the same for every version."""
        return str(self.resource["id"])


def resource_id(*parts: str) -> str:
    """Return the id of a resource: the same for the same parts, and within FHIR's 64 characters.

    >>> resource_id("NORTH", "V1") == resource_id("NORTH", "V1")
    True
    """
    return "v2-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Merge(Struct, frozen=True):
    """One patient number that goes on under another one."""

    survivor: str
    merged: str


class Effects(Struct):
    """Everything that one message brings."""

    facts: list[Fact] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    """What is counted of the message, by name: `unmapped:KAL`, `no-unit:2160-0`, `line-feeds`."""
    latencies: list[float] = field(default_factory=list)
    """Seconds from collection to arrival of each result."""


def codes_of(resource: dict[str, Any]) -> str:
    """Return the codes that a fact can be found by, each as `system|code`, with a space around each.

    >>> codes_of({"code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}})
    ' http://loinc.org|2823-3 '
    """
    concepts = [resource.get(name) for name in ("code", "vaccineCode", "medicationCodeableConcept")]
    concepts += [part.get("code") for part in _listed(resource, "component") if isinstance(part, dict)]
    codings = (
        coding
        for concept in concepts
        if isinstance(concept, dict)
        for coding in _listed(concept, "coding")
        if isinstance(coding, dict) and coding.get("code")
    )
    names = dict.fromkeys(f"{coding.get('system', '')}|{coding['code']}" for coding in codings)
    return f" {' '.join(names)} " if names else ""


def _listed(holder: dict[str, Any], name: str) -> list[Any]:
    """Return a list of a resource as it came; an empty one where something else stands there."""
    value = holder.get(name)
    return value if isinstance(value, list) else []
