"""A drafted order as the client sent it, and as far as it can be read."""

import re
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from fhir.record.resources import Medication, MedicationRequest, ServiceRequest

# FHIR's id, and what real servers send beyond it; a slash or a blank would make another reference of it.
_ID = re.compile(r"[^\s/#?]+")
_READ = {"MedicationRequest": MedicationRequest, "ServiceRequest": ServiceRequest, "Medication": Medication}


class Draft(Struct, frozen=True):
    """One entry of `draftOrders`: `resource` is the client's own JSON, `read` the lean resource, None when unreadable.

    `reference` is how the client names it ('MedicationRequest/draft-1'), None when it gave it no name.
    """

    resource: dict[str, Any]
    kind: str
    reference: str | None
    position: int
    full_url: str | None = None
    read: MedicationRequest | ServiceRequest | Medication | None = None
    fault: str | None = None

    @property
    def name(self) -> str:
        """How to speak of it: its reference, else its place in the bundle."""
        return self.reference or f"draftOrders.entry[{self.position}]"

    @property
    def order(self) -> MedicationRequest | None:
        """The medication order it is, None when it is something else."""
        return self.read if isinstance(self.read, MedicationRequest) else None

    def is_named(self, names: Collection[str]) -> bool:
        """Whether one of the names (a reference, a bare id, a full URL or `name`) means this draft.

        A reference may name a server and a version: http://server/MedicationRequest/7/_history/2.
        """
        own = {self.name, self.reference, self.full_url, (self.reference or "").partition("/")[2]}
        return any(name in own or (self.reference and _relative(name) == self.reference) for name in names if name)


def read_draft(resource: dict[str, Any], *, full_url: str | None = None, position: int = 0) -> Draft:
    """The draft of a resource decoded from the client's JSON; what cannot be read keeps the reason in `fault`."""
    kind = str(resource.get("resourceType", ""))
    reference = _reference(kind, resource.get("id"), full_url)
    target = _READ.get(kind)
    if target is None:
        return Draft(resource, kind, reference, position, full_url)
    try:
        read = msgspec.convert(resource, target)
    except msgspec.ValidationError as error:
        return Draft(resource, kind, reference, position, full_url, fault=str(error))
    return Draft(resource, kind, reference, position, full_url, read)


def read_drafts(entries: Iterable[Any]) -> list[Draft]:
    """The drafts of a Bundle's entries (JSON objects); an entry without a resource is passed over."""
    drafts = []
    for position, entry in enumerate(entries):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            full_url = entry.get("fullUrl")
            drafts.append(
                read_draft(resource, full_url=full_url if isinstance(full_url, str) else None, position=position)
            )
    return drafts


def _reference(kind: str, identity: object, full_url: str | None) -> str | None:
    if isinstance(identity, str) and _ID.fullmatch(identity):
        return f"{kind}/{identity}"
    # A bundle may name an entry by its full URL only: http://server/MedicationRequest/7 or urn:uuid:…
    parts = (full_url or "").rsplit("/", 2)
    if len(parts) == 3 and parts[1] == kind and _ID.fullmatch(parts[2]):
        return f"{kind}/{parts[2]}"
    uuid = (full_url or "").removeprefix("urn:uuid:")
    return f"{kind}/{uuid}" if full_url != uuid and _ID.fullmatch(uuid) else None


def _relative(reference: str) -> str:
    return "/".join(reference.split("/_history/", 1)[0].rsplit("/", 2)[-2:])
