"""The record of one patient at one instant: decoded from the FHIR JSON of a call, and unchanged after it was read.

What the typed decoder rejects is decoded piece by piece. One broken resource then does not make the others unreadable.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice, repeat
from operator import attrgetter
from typing import Any, Final, Literal, TypeVar, TypeVarTuple
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct, structs

from fhir.record.datatypes import (
    LONGEST_TEXT,
    CodeableConcept,
    FhirTime,
    Subject,
    Version,
    collapse_runs,
    map_texts,
    may_hold_runs,
    parse_time,
)
from fhir.record.facts import (
    FACT_TYPES,
    NEVER_STATUS,
    Found,
    Lookup,
    ReadResources,
)
from fhir.record.measurement import (
    GENOMICS,
    OTHER,
    SCREENING,
    SEX_AT_BIRTH,
    SMOKING_STATUS,
    CodedPart,
    Measurement,
    OneSidedResult,
)
from fhir.record.opting_out import Consent, Flag, SystemAndCode, opted_out_by
from fhir.record.refusals import PATIENT_UNNAMED, Refusal, WrongPatient, describe_decoder_error
from fhir.record.repair import repair_bytes
from fhir.record.resources import (
    Bundle,
    BundleEntry,
    BundleLink,
    Condition,
    EntryResponse,
    Immunization,
    Medication,
    Observation,
    ObservationComponent,
    OperationOutcome,
    OtherResource,
    Patient,
    PatientExtension,
    Procedure,
    decoder,
)
from fhir.record.statuses import read_statuses
from fhir.record.versions import distinct, each_once

_T = TypeVar("_T")
_Of = TypeVarTuple("_Of")

BIRTH_SEX = (
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex",
    "http://hl7.org/fhir/StructureDefinition/patient-birthSex",
    # The sex that a clinician uses for care, SNOMED CT in US Core 6 and later.
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex",
)
_BIRTH_SEXES: Final[Mapping[str | None, Literal["male", "female"]]] = {
    "F": "female",
    "M": "male",
    "female": "female",
    "male": "male",
    "248152002": "female",
    "248153007": "male",
}
_RECORDED_SEX = "http://hl7.org/fhir/StructureDefinition/individual-recordedSexOrGender"
_SEX_FOR_CARE = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"
_GENDER_IDENTITIES = (
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-genderIdentity",
    "http://hl7.org/fhir/StructureDefinition/individual-genderIdentity",
    "http://hl7.org/fhir/StructureDefinition/patient-genderIdentity",
)
SEX_EXTENSIONS = (*BIRTH_SEX, _RECORDED_SEX, _SEX_FOR_CARE, *_GENDER_IDENTITIES)
"""The extensions of a Patient from which `PatientRecord.sex` is read."""
_CARE_SEXES: Final[Mapping[str | None, Literal["male", "female"]]] = {
    "female-typical": "female",
    "male-typical": "male",
}
# SNOMED CT: female-to-male and male-to-female transgender person, each before and after surgery.
_TRANSITIONS: Final[Mapping[str | None, Literal["male", "female"]]] = {
    "407377005": "female",
    "407379008": "female",
    "407376001": "male",
    "407378000": "male",
}
_TRANSITION_WORDS: Final = re.compile(
    r"^\W*(?:(?P<female>trans(?:gender|sexual)? ?(?:man|male)\b|female[- ]to[- ]male\b|ftm\b)"
    r"|(?P<male>trans(?:gender|sexual)? ?(?:woman|female)\b|male[- ]to[- ]female\b|mtf\b))",
    re.IGNORECASE,
)
BIRTH_PLACE = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"

BIRTH_DATE_NOT_READ: Final = "birth-date-not-read"
"""The reason of a birth date in a form that FHIR does not have."""
LONGEST_LIFE_YEARS = 122
"""The longest life that was verified: Jeanne Calment, 1875 to 1997 (confirmed by Robine, Allard and others, The
Journals of Gerontology, 2019; read on 2026-11-22)."""
_LONGEST_LIFE_DAYS = (LONGEST_LIFE_YEARS + 1) * 365.2425
_NOT_DERIVED: Final[Any] = object()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PatientRecord:
    """Facts of one patient as of one instant; `read_record` makes it.

    What was entered in error, canceled, not done or refuted is not in here. `requested` are the resource types and
    analytes that were asked for, found or not (None: everything was). `encounter_id` is the stay that the call is
    about, where it names one.

    Nothing that is asked of a record changes what it answers later.
    """

    patient_id: str
    as_of: datetime
    as_of_epoch: float
    requested: frozenset[str] | None
    encounter_id: str | None
    resources: ReadResources
    completed_months: int | None = field(init=False)

    def __post_init__(self) -> None:
        born = self.birth_date
        months = born.completed_months(self.as_of.date()) if born is not None else None
        object.__setattr__(self, "completed_months", months)

    def with_requested(self, requested: frozenset[str] | None) -> "PatientRecord":
        """Return the same facts, as if only these resource types and analytes had been asked for."""
        return replace(self, requested=requested)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What arrived and cannot be used, each once: what was refused while reading, then values.

        Of the values, those of the analytes that were asked for that are newer than the newest usable one, in the order
        of the table of analytes. `fhir/mapping/gaps.py` adds what is known only when problems and drugs are understood.
        """
        return self.derive(_refusals)

    def was_requested(self, what: str) -> bool:
        """Whether this resource type or analyte was asked for: if not, its absence means nothing."""
        return self.requested is None or what in self.requested

    def derive(self, make: Callable[["PatientRecord", *_Of], _T], *of: *_Of) -> _T:
        """Return what `make`, a module's function, computes from this record, once for each `of`; it is kept here."""
        derived = self.resources.derived
        key = (make, *of) if of else make
        value: _T = derived.get(key, _NOT_DERIVED)
        if value is _NOT_DERIVED:
            value = derived[key] = make(self, *of)
        return value

    def kept(self, name: str) -> dict[Any, Any]:
        """Return what the functions of a module keep with this record under a name of theirs, empty at first."""
        kept: dict[Any, Any] = self.resources.derived.setdefault(name, {})
        return kept

    # Resources

    @property
    def patient(self) -> Patient | None:
        """The Patient resource, None where none came."""
        return self.resources.patient

    @property
    def medications(self) -> Mapping[str, Medication]:
        """Medication resources by every name that a reference can use."""
        return self.resources.medications

    @property
    def procedures_not_done(self) -> tuple[Procedure, ...]:
        """What was to be done and was not, with the reason where one is given."""
        return tuple(procedure for procedure in self.resources.by_type[Procedure] if procedure.status == "not-done")

    @property
    def immunizations_not_done(self) -> tuple[Immunization, ...]:
        """Vaccine doses that were not given, with the reason where it is known."""
        return tuple(dose for dose in self.resources.by_type[Immunization] if dose.status == "not-done")

    def every_fact(self) -> Iterator[Any]:
        """Every Medication and every fact of any type, type by type."""
        yield from self.medications.values()
        for kind in FACT_TYPES:
            yield from self.facts(kind)

    def facts(self, kind: type[_T]) -> tuple[_T, ...]:
        """Return the resources of a type that are facts, in the order they came; facts.py says which are none."""
        facts = self.resources.facts.get(kind)
        return facts if facts is not None else self.resources.facts_of(kind, self.as_of)

    # The patient

    @property
    def birth_date(self) -> FhirTime | None:
        """The birth date as charted; None when it is absent, unreadable, in the future or before the longest life.

        Where nobody knows it, 1900-01-01 and the like are typed: an age of 126 says nothing of the patient.
        """
        patient = self.patient
        text = patient.birthDate if patient else None
        born = parse_time(text)
        if born is None or born.is_after(self.as_of_epoch):
            return None
        return born if born.whole_days(self.as_of_epoch) < _LONGEST_LIFE_DAYS else None

    def age_years(self) -> int | None:
        """Completed years at `as_of`; None without a birth date that has its year and month.

        A year-only birth date gives no age: it would be off by up to a year on either side of a threshold.
        """
        months = self.completed_months
        return months // 12 if months is not None else None

    def age_bounds(self) -> tuple[int, int] | None:
        """Return the least and the greatest number of completed years; None where not even the year is known."""
        years = self.age_years()
        if years is not None:
            return years, years
        born = self.birth_date
        if born is None:
            return None
        most = self.as_of.year - int(born.text[:4])
        return max(0, most - 1), most

    def age_months(self) -> int | None:
        """Completed months at `as_of`, known as the years are."""
        return self.completed_months

    @property
    def sex(self) -> Literal["male", "female"] | None:
        """The sex at birth as charted, else that used for care or told by a transition, else the administrative one.

        None where it is neither.
        """
        return self.derive(_sex)

    @property
    def charted_sex(self) -> Literal["male", "female"] | None:
        """The same where more than the administrative gender says it."""
        return self.derive(_charted_sex)

    @property
    def birth_country(self) -> str | None:
        """The country of birth as charted, by FHIR's extension patient-birthPlace."""
        patient = self.patient
        for extension in patient.extension if patient else ():
            if extension.url == BIRTH_PLACE and extension.valueAddress is not None:
                return extension.valueAddress.country
        return None

    @property
    def deceased(self) -> bool:
        """Whether the patient has died."""
        patient = self.patient
        return patient is not None and bool(patient.deceasedBoolean or patient.deceasedDateTime)

    @property
    def opted_out(self) -> str:
        """What says that the patient has opted out of decision support, in words; empty where nothing does."""
        return self.derive(_says_opted_out)

    # Measured values

    @property
    def parts_by_analyte(self) -> Mapping[str, Sequence[CodedPart]]:
        """What came of each analyte, whether it can be used or not."""
        self.resources.parts_of(OTHER)
        return self.resources.by_analyte

    def lookup(self, analyte: str, max_age_days: float | None = None) -> Lookup:
        """Return the newest usable value of an analyte (a key of ANALYTES) that is at most so many days old.

        `Found`, `Refused` where values came and none can be used, or `Absent`. Raises KeyError for an unknown key.
        """
        resources = self.resources
        return (resources.results.get(analyte) or resources.results_of(analyte, self.as_of_epoch)).lookup(max_age_days)

    def newest(self, analyte: str, max_age_days: float | None = None) -> Measurement | None:
        """Return the measurement of `lookup` alone; None where there is none."""
        lookup = self.lookup(analyte, max_age_days)
        return lookup.measurement if type(lookup) is Found else None

    def newest_together(self, analyte: str, max_age_days: float | None = None) -> list[Measurement]:
        """Return the newest usable value and the others of the same instant; empty when it is older than that."""
        return self.resources.results_of(analyte, self.as_of_epoch).newest_together(max_age_days)

    def measurements(self, analyte: str) -> tuple[Measurement, ...]:
        """All usable values of an analyte, newest first."""
        return self.resources.results_of(analyte, self.as_of_epoch).usable()

    def measurements_with_code(self, analyte: str, code: str) -> list[Measurement]:
        """Those of them that were charted with this code."""
        return self.resources.results_of(analyte, self.as_of_epoch).usable_with_code(code)

    def measurements_since(self, analyte: str, instant: float) -> list[Measurement]:
        """Those of them that were measured at that epoch second or later."""
        return self.resources.results_of(analyte, self.as_of_epoch).usable_since(instant)

    def smoking_answers(self) -> list[Observation]:
        """Observations of the smoking status (LOINC 72166-2), whatever their status, in the order they came."""
        return [part[0] for part in self.resources.parts_of(SMOKING_STATUS)]

    def genetic_observations(self) -> list[Observation]:
        """Return what may be a genetic result: Observations with a code of the key `genomics`, and those of no analyte.

        Each once, in the order they came; what was entered in error or canceled is left out.
        """
        parts = (*self.resources.parts_of(GENOMICS), *self.resources.parts_of(OTHER))
        by_id = {part[0].id or id(part[0]): part[0] for part in parts}
        return [observation for observation in by_id.values() if observation.status not in NEVER_STATUS]

    def screening_parts(self) -> list[CodedPart]:
        """What may be a screening test or a fact about smoking; a code of SNOMED CT is of no analyte."""
        return self.derive(_screening_parts)

    def one_sided_results(self, analyte: str) -> list[OneSidedResult]:
        """Results that say only on which side of a number they lie, newest first."""
        return self.resources.results_of(analyte, self.as_of_epoch).one_sided()


def record_of_resources(
    resources: ReadResources,
    patient_id: str,
    as_of: datetime,
    requested: frozenset[str] | None,
    encounter_id: str | None,
    opt_out_flags: frozenset[SystemAndCode] = frozenset(),
) -> PatientRecord:
    """Return the record over resources that are not changed any more; ValueError for `as_of` without a zone."""
    if as_of.tzinfo is None:
        raise ValueError("as_of needs a time zone")
    resources.opt_out_flags = opt_out_flags
    return PatientRecord(patient_id, as_of, as_of.timestamp(), requested, encounter_id, resources)


def _screening_parts(record: PatientRecord) -> list[CodedPart]:
    keys = (SCREENING, "hbsag", "hiv_test", "rh_d", OTHER)
    return [part for key in keys for part in record.resources.parts_of(key)]


def _sex(record: PatientRecord) -> Literal["male", "female"] | None:
    patient = record.patient
    if patient is not None and not patient.extension and patient.gender is None:
        return None
    if record.charted_sex is not None or patient is None:
        return record.charted_sex
    return "male" if patient.gender == "male" else "female" if patient.gender == "female" else None


def _charted_sex(record: PatientRecord) -> Literal["male", "female"] | None:
    """Return the sex by extensions of the Patient, the observed sex at birth, or words and codes of a transition."""
    extensions = record.patient.extension if record.patient else ()
    by_url = {extension.url: extension for extension in extensions}
    at_birth = [by_url[url].valueCode for url in BIRTH_SEX if url in by_url]
    at_birth += [_recorded_at_birth(extension) for extension in extensions if extension.url == _RECORDED_SEX]
    at_birth += [code for part in record.resources.parts_of(SEX_AT_BIRTH) for code in _codes_of(part[1])]
    for code in at_birth:
        if (sex := _BIRTH_SEXES.get(code)) is not None:
            return sex
    for_care = by_url.get(_SEX_FOR_CARE)
    for part in for_care.extension if for_care is not None else ():
        for coding in part.valueCodeableConcept.coding if part.valueCodeableConcept is not None else ():
            if (sex := _CARE_SEXES.get(coding.code)) is not None:
                return sex
    concepts = [value for url in _GENDER_IDENTITIES if url in by_url for value in _values_of(by_url[url])]
    concepts += [condition.code for condition in record.facts(Condition) if condition.code is not None]
    return next((sex for concept in concepts if (sex := _sex_before_transition(concept)) is not None), None)


def _values_of(extension: PatientExtension) -> list[CodeableConcept]:
    values = [extension.valueCodeableConcept, *(part.valueCodeableConcept for part in extension.extension)]
    return [value for value in values if value is not None]


def _recorded_at_birth(extension: PatientExtension) -> str | None:
    """Return the code of a recorded sex whose type says that it is the one at birth; None for every other."""
    values = {part.url: part.valueCodeableConcept for part in extension.extension}
    kind, value = values.get("type"), values.get("value")
    is_at_birth = kind is not None and (kind.has("76689-9") or "birth" in kind.words.lower())
    return next((coding.code for coding in value.coding), None) if is_at_birth and value is not None else None


def _codes_of(observation: Observation | ObservationComponent) -> list[str]:
    value = observation.valueCodeableConcept
    return [*(coding.code for coding in value.coding), value.text.lower()] if value is not None else []


def _sex_before_transition(concept: CodeableConcept) -> Literal["male", "female"] | None:
    for coding in concept.coding:
        if (sex := _TRANSITIONS.get(coding.code)) is not None:
            return sex
    match = _TRANSITION_WORDS.match(concept.words)
    if match is None:
        return None
    return "female" if match["female"] else "male"


def _says_opted_out(record: PatientRecord) -> str:
    codes, patient = record.resources.opt_out_flags, record.patient
    labels, flags = patient.meta.security if patient and patient.meta else (), record.facts(Flag) if codes else ()
    return opted_out_by(labels, record.facts(Consent), flags, codes, record.as_of_epoch)


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
    response: EntryResponse | None = None


class _RawBundle(Struct, frozen=True):
    meta: Raw = _NULL
    entry: tuple[Raw, ...] = ()
    link: tuple[BundleLink, ...] = ()
    type: str | None = None
    total: int | None = None


_head = msgspec.json.Decoder(_Head)
_raw_bundle = msgspec.json.Decoder(_RawBundle)
_bundle_meta = msgspec.json.Decoder(Version | None)
_raw_entry = msgspec.json.Decoder(_RawEntry)
_entries = msgspec.json.Decoder(tuple[BundleEntry, ...])
_DECODED_TOGETHER = 8
"""So many entries of a Bundle that cannot be read as a whole are decoded at once; most of them are not broken."""


def read_value(name: str, raw: bytes | Raw) -> tuple[Any, list[Refusal]]:
    """Return a lean resource or Bundle (or None for null) and what in it could not be read; `name` is its prefetch key.

    Raises msgspec.DecodeError only where the bytes are no JSON at all.
    """
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


def read_repaired(name: str, raw: bytes | Raw) -> tuple[Any, list[Refusal]]:
    """Return the value as it is, or repaired where that can be read better; what is no resource is a broken one."""
    value, refused = read_value(name, raw)
    # A resource that has a type and an id was repaired alone, in vain: only what is around the resources may help.
    if any(refusal.subject.startswith("prefetch.") for refusal in refused):  # a place: what was refused there has no id
        repaired, refused_still = read_value(name, repair_bytes(raw))
        if len(refused_still) < len(refused):
            value, refused = repaired, refused_still
    # null says "asked, none found"; something that is not a FHIR resource does not
    return BrokenResource() if value is None and refused else value, refused


def without_runs(value: Any) -> Any:
    """Return the lean resource or Bundle with the runs of white space in its texts collapsed.

    What is read of a chart mostly has none: they stand in the narrative, which is not read.
    """
    if isinstance(value, Bundle):
        entries = [structs.replace(entry, resource=without_runs(entry.resource)) for entry in value.entry]
        return structs.replace(value, entry=tuple(entries))
    text = msgspec.json.encode(value)
    if not may_hold_runs(text):
        return value
    return msgspec.json.decode(msgspec.json.encode(collapse_runs(msgspec.json.decode(text))), type=type(value))


def _read_bundle(name: str, raw: bytes | Raw) -> tuple[Bundle | None, list[Refusal]]:
    try:
        bundle = _raw_bundle.decode(raw)
    except msgspec.ValidationError as error:
        return None, [Refusal(f"prefetch.{name}", "unreadable", f"prefetch.{name}: {_where(error)}: not used.")]
    pairs = list(read_entries(name, enumerate(bundle.entry)))
    refusals = [refusal for _, refused in pairs for refusal in refused]
    entries = tuple([entry for entry, _ in pairs])
    meta = None
    with suppress(msgspec.ValidationError):
        meta = _bundle_meta.decode(bundle.meta)
    return Bundle(meta=meta, type=bundle.type, total=bundle.total, link=bundle.link, entry=entries), refusals


def read_entries(
    name: str, texts: Iterable[tuple[int, bytes | Raw]]
) -> Iterator[tuple[BundleEntry, Sequence[Refusal]]]:
    """Yield each entry of a Bundle, of its place and its text, and what in it could not be read."""
    following = iter(texts)
    while together := list(islice(following, _DECODED_TOGETHER)):
        try:
            entries = _entries.decode(b"[%b]" % b",".join([text for _, text in together]))
        except msgspec.ValidationError:
            yield from (_read_entry(f"prefetch.{name}.entry[{position}]", text) for position, text in together)
        else:
            yield from zip(entries, repeat(()))


def _read_entry(text: str, raw: bytes | Raw) -> tuple[BundleEntry, list[Refusal]]:
    try:
        entry = _raw_entry.decode(raw)
    except msgspec.ValidationError as error:
        return BundleEntry(), [Refusal(text, "unreadable", f"{text}: {_where(error)}: not used.")]
    if bytes(entry.resource) == b"null":
        return BundleEntry(entry.fullUrl, response=entry.response), []
    try:
        return BundleEntry(entry.fullUrl, decoder.decode(entry.resource), entry.response), []
    except msgspec.ValidationError as error:
        resource, refused = _read_shortened(entry.resource, text, _head_of(entry.resource) or _Head(), error)
        return BundleEntry(entry.fullUrl, resource, entry.response), refused


def _read_shortened(
    raw: bytes | Raw, location: str, head: _Head, error: msgspec.ValidationError
) -> tuple[Any, list[Refusal]]:
    """Return a resource whose texts are too long, with these cut; what cannot be read for another reason is broken."""
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
    return Refusal(name, "unreadable", f"{name} cannot be read ({_where(error)}). Only it was not used.")


def _where(error: msgspec.ValidationError) -> str:
    # msgspec repeats a value only for an unknown resourceType; that is no patient data, but it may be anything.
    text = str(error)
    if text.endswith("modifierExtension`"):
        return "it carries a modifierExtension, which can reverse what it says"
    if text.startswith("Invalid value"):
        return "its resourceType must be a FHIR R4 type"
    return describe_decoder_error(error)


def id_of_reference(reference: str) -> str:
    """Return the bare id in `Patient/1`, `https://host/fhir/Patient/1`, `Patient/1/_history/2` or `urn:uuid:1`."""
    path = reference.split("/_history/", 1)[0]
    return path.rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def relative_reference(reference: str) -> str:
    """`Type/id`, whether it came with a server and a version or without; what is no such reference stays as it is.

    >>> relative_reference("https://host/fhir/MedicationRequest/7/_history/2"), relative_reference("urn:uuid:1")
    ('MedicationRequest/7', 'urn:uuid:1')
    """
    return "/".join(reference.strip().split("/_history/", 1)[0].rsplit("/", 2)[-2:])


def subject_references(resource: Any) -> tuple[Subject, ...]:
    """Return the references of a lean resource to whom it is about; empty where it names nobody."""
    subject = getattr(resource, "subject", None)
    if subject is None:
        subject = getattr(resource, "patient", None)
    if subject is None:
        return ()
    return subject if isinstance(subject, tuple) else (subject,)


_TYPE_NAME: Final = re.compile(r"[A-Z][A-Za-z]+")
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
Whose = Literal["ours", "other", "no patient", "unknown"]


def whose(reference: str, ours: Collection[str], *, knows_urns: bool = False) -> Whose:
    """Return whether the reference is to the patient of these ids, to another one, to no patient, or cannot be told.

    It is another patient's or nobody's only where it can be read as such: `Patient/2`, `Group/1`. A
    fragment, a version, empty steps, full-width letters and invisible signs make no other patient of it; a `urn` can
    be compared only where the Patient has one.

    >>> [whose(reference, {"1"}) for reference in ("patient//1/", "Patient/2", "2", "Group/1", "Patient?identifier=1")]
    ['ours', 'other', 'unknown', 'no patient', 'unknown']
    """
    reference = unicodedata.normalize("NFKC", _INVISIBLE.sub("", reference)).strip()
    if not reference or reference.startswith("#") or reference in ours:
        return "ours"
    if reference.startswith("urn:"):
        is_ours = not knows_urns or id_of_reference(reference) in ours
        return ("ours" if knows_urns else "unknown") if is_ours else "other"
    if "?" in reference:
        return "unknown"
    path = re.split(r"[#|]|/_history", reference, maxsplit=1)[0]
    *_, kind, identity = ("", "", *filter(None, path.split("/")))
    if kind.lower() == "patient":
        return "ours" if unquote(identity) in ours else "other"
    if not kind:  # an id alone may be of something else: a published request names a part of its context so
        return "ours" if unquote(identity) in ours else "unknown"
    return "no patient" if _TYPE_NAME.fullmatch(kind) and _ID.fullmatch(identity) else "unknown"


OnOtherPatient = Literal["stop", "refuse"]


def record_from_resources(
    resources: Iterable[Any], patient_id: str, as_of: datetime, encounter_id: str | None = None
) -> PatientRecord:
    """Return the record of resources as they are in a chart; what is about another patient is left out and named."""
    entries = [{"resource": resource} for resource in resources]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    value, refusals = read_value("chart", msgspec.json.encode(bundle))
    return read_record(
        {"chart": value},
        patient_id,
        as_of,
        on_other_patient="refuse",
        encounter_id=encounter_id,
        refusals=refusals,
    )


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
    """Return the record of `patient_id` from lean resources and Bundles by key; None values mean "asked, none found".

    `requested` are the resource types and analytes that were asked for (None: everything was), `encounter_id` the stay
    that the call is about, `refusals` what could not be read before, `opt_out_flags` the codes of a Flag by which a
    patient has opted out at this site.

    Raises:
        WrongPatient: A resource is about another patient. With `on_other_patient="refuse"` it is left out and named.
        ValueError: `as_of` has no time zone.
    """
    resources = read_resources(prefetch, patient_id, on_other_patient)
    resources.refusals.extend(refusals)
    return record_of_resources(resources, patient_id, as_of, requested, encounter_id, opt_out_flags)


def read_resources(
    prefetch: Mapping[str, Any], patient_id: str, on_other_patient: OnOtherPatient = "stop"
) -> ReadResources:
    """Return the resources of the patient, with what was refused of them; raises WrongPatient as `read_record` does.

    Runs of white space in their texts are collapsed: no reader meets one.
    """
    reading = _Reading(patient_id, on_other_patient)
    for value in prefetch.values():
        if isinstance(value, Bundle):
            if value.entry:
                reading.take_bundle(value)
        elif value is not None:
            reading.resources.kinds.add(type(value))
            reading.take(value, None)
    return reading.finish()


_WITH_SUBJECT: Final[frozenset[type[Any]]] = frozenset(
    kind for kind in FACT_TYPES if "subject" in kind.__struct_fields__
)
"""Those that say `subject`; AllergyIntolerance and Immunization say `patient`."""


_resource: Final = attrgetter("resource")


class _Reading:
    """Takes resources in, in one pass; whom they are about is checked on the way."""

    def __init__(self, patient_id: str, on_other_patient: OnOtherPatient) -> None:
        self.resources = ReadResources()
        self.patient_id = patient_id
        self.on_other_patient = on_other_patient
        self.ours = {patient_id}
        self.has_full_url = False
        # The last reference that was found to be ours: most of a Bundle repeats it.
        self.usual = f"Patient/{patient_id}"
        self.undecided: list[tuple[Any, str | None]] = []
        self.of_others: list[str] = []

    def take_bundle(self, bundle: Bundle) -> None:
        resources: list[Any] = list(map(_resource, bundle.entry))
        usual, ours = self.usual, list[Any]()
        kinds = set(map(type, resources))
        self.resources.kinds |= kinds
        for kind in _WITH_SUBJECT & kinds:  # mostly one: the answer to a search
            known = [
                resource
                for resource in resources
                if type(resource) is kind and (whom := resource.subject) is not None and whom.reference == usual
            ]
            self.resources.by_type[kind] += known
            ours += known
        if len(ours) < len(resources):
            taken = set(map(id, ours))
            for entry in bundle.entry:
                if entry.resource is not None and id(entry.resource) not in taken:
                    self.take(entry.resource, entry.fullUrl)

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
        if self.on_other_patient == "stop" and self.of_others:
            raise WrongPatient(self.of_others[0])  # what is mixed is nobody's chart
        self.resources.kinds.discard(type(None))  # entries without a resource
        by_type = self.resources.by_type
        refusals = self.resources.refusals
        patient = self.resources.patient = without_runs(self.resources.patient)
        medications = self.resources.medications
        if medications and may_hold_runs(msgspec.json.encode(medications)):
            by_identity = {id(medication): medication for medication in medications.values()}  # most have three names
            collapsed = {identity: without_runs(medication) for identity, medication in by_identity.items()}
            self.resources.medications = {
                collapse_runs(name): collapsed[id(medication)] for name, medication in medications.items()
            }
        if patient is not None and patient.birthDate and parse_time(patient.birthDate) is None:
            text = "The birth date of the Patient cannot be read (YYYY, YYYY-MM or YYYY-MM-DD): the age is not known."
            refusals.append(Refusal("Patient", BIRTH_DATE_NOT_READ, text))
        for kind, resources in by_type.items():
            if resources:
                once = each_once(resources)
                encoded = msgspec.json.encode(once)
                read = list(map(without_runs, once)) if may_hold_runs(encoded) else once
                by_type[kind] = counted = distinct(read_statuses(read, kind, refusals), refusals)
                if counted is once:
                    self.resources.encoded[kind] = encoded
        return self.resources

    def _take_patient(self, patient: Patient, full_url: str | None) -> None:
        if patient.id is not None and patient.id != self.patient_id:
            self._refuse_other_patient(patient)
            return
        if full_url:
            self.ours.add(id_of_reference(full_url))
            self.has_full_url = True
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
            if reference is None or reference == self.usual:
                continue
            patient = whose(reference, self.ours, knows_urns=self.has_full_url)
            if patient == "other":
                self._refuse_other_patient(resource)
                return False
            name = _name_of(resource) if patient != "ours" else ""
            if patient == "no patient":
                text = f"{name} is not about a patient: not used."
                self.resources.refusals.append(Refusal(name, "other-subject", text))
                return False
            if patient == "unknown":
                text = f"{name} names its patient in a way that cannot be compared: used, as it came with this chart."
                self.resources.refusals.append(Refusal(name, "subject-not-compared", text))
        return True

    def _refuse_other_patient(self, resource: Any) -> None:
        name = _name_for_refusal(resource)
        if self.on_other_patient == "stop" and isinstance(resource, Patient):
            raise WrongPatient(name)
        self.of_others.append(name)
        text = f"{name} is about another patient: not used."
        self.resources.refusals.append(Refusal(name, "other-patient", text))


def _refusals(record: PatientRecord) -> tuple[Refusal, ...]:
    resources = record.resources
    refused = resources.refused_results(record.requested, record.as_of_epoch)
    return tuple(dict.fromkeys((*resources.refusals, *refused)))


def place_in(prefetch: Mapping[str, Any], name: str) -> tuple[str, int | None] | None:
    """Return the key under which the resource of a WrongPatient came, and its entry where that is a Bundle, from 0.

    None for one without an id, of which there may be several.
    """
    for key, value in prefetch.items():
        is_bundle = isinstance(value, Bundle)
        resources = [entry.resource for entry in value.entry] if is_bundle else [value]
        for number, resource in enumerate(resources):
            if resource is not None and resource.id and _name_for_refusal(resource) == name:
                return key, number if is_bundle else None
    return None


def _name_for_refusal(resource: Any) -> str:
    return PATIENT_UNNAMED if isinstance(resource, Patient) else _name_of(resource)


def _name_of(resource: Any) -> str:
    kind = getattr(resource, "resource_type", None) or type(resource).__struct_config__.tag
    return f"{kind}/{resource.id}" if resource.id else f"a {kind} without id"
