"""Whom a resource is about."""

from typing import Any

from fhir.record.resources import Subject


def last_part(reference: str) -> str:
    """The bare id in `Patient/1`, `https://host/fhir/Patient/1`, `Patient/1/_history/2` or `urn:uuid:1`."""
    path = reference.split("/_history/", 1)[0]
    return path.rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def subject_references(resource: Any) -> tuple[Subject, ...]:
    """The references of a lean resource to whom it is about; empty where it names nobody."""
    subject = getattr(resource, "subject", None)
    if subject is None:
        subject = getattr(resource, "patient", None)
    if subject is None:
        return ()
    return subject if isinstance(subject, tuple) else (subject,)


def names_a_patient(reference: str) -> bool:
    """Whether the reference can be to a Patient: `Patient/…` or an address whose type cannot be seen."""
    if reference.startswith("urn:"):
        return True
    parts = reference.split("/_history/", 1)[0].split("/")
    return len(parts) > 1 and parts[-2] == "Patient"
