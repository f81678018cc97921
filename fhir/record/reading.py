"""Decodes FHIR JSON and builds the record of one patient from the resources of a call.

What the typed decoder rejects is decoded piece by piece. One broken resource then does not make the others unreadable.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, structs

from fhir.record.chart_text import LONGEST_TEXT, collapse_runs, map_texts, may_hold_runs
from fhir.record.datatypes import Subject
from fhir.record.opting_out import SystemAndCode
from fhir.record.record import PatientRecord, record_of_resources
from fhir.record.refusals import Refusal, WrongPatient
from fhir.record.repair import repair_bytes
from fhir.record.resources import (
    Bundle,
    BundleEntry,
    BundleLink,
    Medication,
    OperationOutcome,
    OtherResource,
    Patient,
    decoder,
)
from fhir.record.results import ReadResources


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

    Runs of white space in its texts are collapsed: no reader meets one.

    Raises msgspec.DecodeError only where the bytes are no JSON at all.
    """
    value, refused = _read_value(name, raw)
    return (without_runs(value) if may_hold_runs(bytes(raw)) else value), refused


_ENTRIES_TOGETHER = 32
"""So many entries are looked through at once; mostly one or two of a chart have a run."""


def without_runs(value: Any) -> Any:
    """Return the lean resource or Bundle with the runs of white space in its texts collapsed.

    What is read of a chart mostly has none: they stand in the narrative, which is not read.
    """
    if not isinstance(value, Bundle):
        return _resource_without_runs(value)
    if not may_hold_runs(msgspec.json.encode(value)):
        return value
    entries: list[BundleEntry] = []
    for start in range(0, len(value.entry), _ENTRIES_TOGETHER):
        together = value.entry[start : start + _ENTRIES_TOGETHER]
        if may_hold_runs(msgspec.json.encode(together)):
            entries += [structs.replace(entry, resource=_resource_without_runs(entry.resource)) for entry in together]
        else:
            entries += together
    return structs.replace(value, entry=tuple(entries))


def _resource_without_runs(resource: Any) -> Any:
    text = msgspec.json.encode(resource)
    if not may_hold_runs(text):
        return resource
    return msgspec.json.decode(msgspec.json.encode(collapse_runs(msgspec.json.decode(text))), type=type(resource))


def _read_value(name: str, raw: bytes | Raw) -> tuple[Any, list[Refusal]]:
    try:
        return (None if bytes(raw) == b"null" else decoder.decode(raw)), []
    except msgspec.ValidationError as error:
        head = _head_of(raw)
        if head is None or head.resourceType is None:
            text = f"prefetch.{name} is not a FHIR resource (an object with resourceType): not used."
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


def _read_entry(text: str, raw: Raw) -> tuple[BundleEntry, list[Refusal]]:
    try:
        entry = _raw_entry.decode(raw)
    except msgspec.ValidationError as error:
        return BundleEntry(), [Refusal(text, "unreadable", f"{text}: {_where(error)}: not used.")]
    if bytes(entry.resource) == b"null":
        return BundleEntry(fullUrl=entry.fullUrl), []
    try:
        return BundleEntry(fullUrl=entry.fullUrl, resource=decoder.decode(entry.resource)), []
    except msgspec.ValidationError as error:
        resource, refused = _read_shortened(entry.resource, text, _head_of(entry.resource) or _Head(), error)
        return BundleEntry(fullUrl=entry.fullUrl, resource=resource), refused


def _read_shortened(
    raw: bytes | Raw, location: str, head: _Head, error: msgspec.ValidationError
) -> tuple[Any, list[Refusal]]:
    """A resource whose texts are too long, with these cut; what cannot be read for another reason is broken."""
    broken = _broken(head)
    try:
        return decoder.decode(repair_bytes(raw)), []
    except (msgspec.DecodeError, RecursionError):
        pass  # the first fault is named below
    if f"length <= {LONGEST_TEXT}" not in str(error):
        return broken, [_refusal(broken, location, error)]
    try:
        resource = decoder.decode(msgspec.json.encode(map_texts(_cut, msgspec.json.decode(raw))))
    except msgspec.ValidationError as other:
        return broken, [_refusal(broken, location, other)]
    name = f"{broken.resource_type}/{broken.id}" if broken.id else location
    text = f"A text of {name} was longer than {LONGEST_TEXT:,} characters: what follows was not read."
    return resource, [Refusal(name, "text-cut", text)]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


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


def _refusal(broken: BrokenResource, text: str, error: msgspec.ValidationError) -> Refusal:
    name = f"{broken.resource_type}/{broken.id}" if broken.id else text
    return Refusal(name, "unreadable", f"{name} cannot be read ({_where(error)}): not used, the rest stands.")


def _where(error: msgspec.ValidationError) -> str:
    # msgspec repeats a value only for an unknown resourceType; that is no patient data, but it may be anything.
    text = str(error)
    return "its resourceType is no FHIR R4 type" if text.startswith("Invalid value") else text.replace("`", "")


def id_of_reference(reference: str) -> str:
    """The bare id in `Patient/1`, `https://host/fhir/Patient/1`, `Patient/1/_history/2` or `urn:uuid:1`."""
    path = reference.split("/_history/", 1)[0]
    return path.rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def relative_reference(reference: str) -> str:
    """`Type/id`, whether it came with a server and a version or without; what is no such reference stays as it is.

    >>> relative_reference("https://host/fhir/MedicationRequest/7/_history/2"), relative_reference("urn:uuid:1")
    ('MedicationRequest/7', 'urn:uuid:1')
    """
    return "/".join(reference.strip().split("/_history/", 1)[0].rsplit("/", 2)[-2:])


def subject_references(resource: Any) -> tuple[Subject, ...]:
    """The references of a lean resource to whom it is about; empty where it names nobody."""
    subject = getattr(resource, "subject", None)
    if subject is None:
        subject = getattr(resource, "patient", None)
    if subject is None:
        return ()
    return subject if isinstance(subject, tuple) else (subject,)


def may_be_patient(reference: str) -> bool:
    """Whether the reference can be to a Patient: `Patient/…` or an address whose type cannot be seen."""
    if reference.startswith("urn:"):
        return True
    parts = reference.split("/_history/", 1)[0].split("/")
    return len(parts) > 1 and parts[-2] == "Patient"


OnOtherPatient = Literal["stop", "refuse"]


def read_record(
    prefetch: Mapping[str, Any],
    patient_id: str,
    as_of: datetime,
    *,
    on_other_patient: OnOtherPatient = "stop",
    requested: frozenset[str] | None = None,
    encounter_id: str | None = None,
    refusals: Iterable[Refusal] = (),
    opt_out_flags: frozenset[SystemAndCode] = frozenset(),
) -> PatientRecord:
    """The record of `patient_id` from lean resources and Bundles by key; None values mean "asked, none found".

    `requested` are the resource types and analytes that were asked for (None: everything was), `encounter_id` the stay
    that the call is about, `refusals` what could not be read before, `opt_out_flags` the codes of a Flag by which a
    patient has opted out at this site.

    Raises:
        WrongPatient: the Patient, or half of the resources or more, are another patient's. A smaller part is refused
            and named, and with `on_other_patient="refuse"` every one.
        ValueError: `as_of` has no time zone.
    """
    reading = _Reading(patient_id, on_other_patient)
    for value in prefetch.values():
        if isinstance(value, Bundle):
            reading.take_bundle(value)
        elif value is not None:
            reading.take(value, None)
    resources = reading.finish()
    resources.refusals.extend(refusals)
    return record_of_resources(resources, patient_id, as_of, requested, encounter_id, opt_out_flags)


class _Reading:
    """Takes resources in, in one pass; whom they are about is checked on the way."""

    def __init__(self, patient_id: str, on_other_patient: OnOtherPatient) -> None:
        self.resources = ReadResources()
        self.patient_id = patient_id
        self.on_other_patient = on_other_patient
        self.ours = {patient_id}
        # The last reference that was found to be ours: most of a Bundle repeats it.
        self.usual = f"Patient/{patient_id}"
        self.undecided: list[tuple[Any, str | None]] = []
        self.of_others: list[str] = []

    def take_bundle(self, bundle: Bundle) -> None:
        by_type, usual = self.resources.by_type, self.usual
        kind: type[Any] | None = None
        kept: list[Any] | None = None
        for entry in bundle.entry:
            resource = entry.resource
            if type(resource) is not kind:  # the answer to a search is of one kind, but for what it includes
                kind = type(resource)
                kept = by_type.get(kind) if "subject" in getattr(kind, "__struct_fields__", ()) else None
            # AllergyIntolerance and Immunization say `patient`; the first line of the test is the hot path.
            subject = resource.subject if resource is not None and kept is not None else None
            if kept is not None and subject is not None and subject.reference == usual:
                kept.append(resource)
            elif resource is not None:
                self.take(resource, entry.fullUrl)

    def take(self, resource: Any, full_url: str | None) -> None:
        if isinstance(resource, Patient):
            self._take_patient(resource, full_url)
        elif isinstance(resource, Bundle):
            self.take_bundle(resource)
        elif not isinstance(resource, OperationOutcome):
            self.undecided.append((resource, full_url))

    def finish(self) -> ReadResources:
        for resource, full_url in self.undecided:  # only now are all names of the patient known
            if self._is_ours(resource):
                self._keep(resource, full_url)
        self._check_others()
        return self.resources

    def _check_others(self) -> None:
        """Stops where half of the chart or more is about others: then it is not this patient's chart."""
        if self.on_other_patient == "stop" and self.of_others:
            kept = sum(map(len, self.resources.by_type.values()))
            if kept <= len(self.of_others):
                raise WrongPatient(self.of_others[0])

    def _take_patient(self, patient: Patient, full_url: str | None) -> None:
        if patient.id is not None and patient.id != self.patient_id:
            self._refuse_other_patient(patient)
            return
        if full_url:
            self.ours.add(id_of_reference(full_url))
        self.resources.patient = self.resources.patient or patient

    def _keep(self, resource: Any, full_url: str | None) -> None:
        if isinstance(resource, Medication):
            if resource.status != "entered-in-error":
                for key in (resource.id, f"Medication/{resource.id}", full_url):
                    if key:
                        self.resources.medications[key] = resource
            return
        kept = self.resources.by_type.get(type(resource))
        if kept is not None:
            kept.append(resource)

    def _is_ours(self, resource: Any) -> bool:
        for subject in subject_references(resource):
            reference = subject.reference
            if reference is None or reference == self.usual or reference.startswith("#"):
                continue
            if not may_be_patient(reference):
                name = _name_of(resource)
                text = f"{name} is not about a patient: not used."
                self.resources.refusals.append(Refusal(name, "other-subject", text))
                return False
            if id_of_reference(reference) not in self.ours:
                self._refuse_other_patient(resource)
                return False
        return True

    def _refuse_other_patient(self, resource: Any) -> None:
        # A Patient's id is the very thing that must not be repeated in an error.
        name = "The Patient resource" if isinstance(resource, Patient) else _name_of(resource)
        if self.on_other_patient == "stop" and isinstance(resource, Patient):
            raise WrongPatient(name)
        self.of_others.append(name)
        text = f"{name} is about another patient: not used."
        self.resources.refusals.append(Refusal(name, "other-patient", text))


def _name_of(resource: Any) -> str:
    kind = getattr(resource, "resource_type", None) or type(resource).__struct_config__.tag
    return f"{kind}/{resource.id}" if resource.id else f"a {kind} without id"
