"""Which resources of a chart are facts: each once, not taken back or refuted, and begun by the time of the call.

A condition whose own codes are not known here gets the code that its words name, and a visit the class that its display
names. FHIR R4 binds Encounter.class extensibly to HL7 v3 ActCode. Epic sends a system of its own with a display
("Appointment", "HOV" for a hospital outpatient visit, "Support OP Encounter", as public examples of its charts have
them); its numbers differ in meaning between the public maps, so that only the display is read. A class that neither
says is not known.

The resources are held until they are released. A look-up of the newest result of an analyte is found, refused or
absent.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace as replace_fields

from fhir.record.datatypes import CodeableConcept, Coding, FhirTime, parse_time
from fhir.record.measurement import (
    ENTERED_IN_ERROR,
    OTHER,
    UNDATED,
    USABLE_STATUS,
    CodedPart,
    Measurement,
    OneSidedResult,
    TimedPart,
    measure,
    newest_first,
    newest_parts,
    one_sided_result,
    parts_by_analyte,
    parts_since,
    refusal_of_unread,
)
from fhir.record.opting_out import Consent, Flag, SystemAndCode
from fhir.record.refusals import Refusal
from fhir.record.resources import (
    AllergyIntolerance,
    Appointment,
    CarePlan,
    Condition,
    Device,
    DiagnosticReport,
    DocumentReference,
    Encounter,
    FamilyMemberHistory,
    Immunization,
    Medication,
    MedicationAdministration,
    MedicationDispense,
    MedicationRequest,
    MedicationStatement,
    Observation,
    Patient,
    Procedure,
    ServiceRequest,
)
from fhir.terminology.analytes import ANALYTES, Analyte
from fhir.terminology.condition_words import ICD10_CM, code_of_words
from fhir.terminology.conditions import code_system, condition_groups_of

_T = TypeVar("_T")

NEVER_STATUS = frozenset({"entered-in-error", "cancelled", "not-done"})
_NEVER_VERIFICATION = frozenset({"entered-in-error", "refuted"})
_VERIFIED: frozenset[type[Any]] = frozenset({Condition, AllergyIntolerance})
"""What has a verification status instead of a status."""

ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
# v3 ActEncounterCode: ambulatory, emergency, field, home health, inpatient (acute, non-acute), observation,
# pre-admission, short stay, virtual.
VISIT_CLASSES: Final = frozenset({"AMB", "EMER", "FLD", "HH", "IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "VR"})
"""The codes of HL7 for classes of visits."""
# The first that is found says which: an outpatient visit to an emergency clinic is an emergency, "Hospital Outpatient
# Visit" is no stay.
_WORDS: Final = tuple(
    (code, re.compile(words, re.IGNORECASE))
    for code, words in (
        ("EMER", r"\bemergency\b|\b(?:ed|er) visit\b"),
        ("OBSENC", r"\bobservation\b"),
        ("HH", r"\bhome (?:health|visit)"),
        ("VR", r"\bvirtual\b|\btele(?:health|medicine|phone)\b|\bvideo visit\b"),
        ("AMB", r"\bambulatory\b|\bout-?patient\b|\boffice visit\b|^appointment$|^hov$|^support op encounter$"),
        ("IMP", r"\bin-?patient\b"),
    )
)


def _facts_at_any_time(resources: list[Any], kind: type[_T]) -> tuple[_T, ...]:
    """Return those of the resources of one kind that are facts, in their order, with what has not begun yet."""
    if kind not in _VERIFIED:
        facts = [fact for fact in resources if fact.status not in NEVER_STATUS]
        if kind is Encounter:
            facts = [_with_known_class(fact) for fact in facts]
        if kind is Procedure:
            facts = [fact for fact in facts if not says_not_performed(fact)]
        return tuple(facts)
    facts = [fact for fact in resources if _is_verified(fact)]
    if kind is Condition:
        sure = (sure for fact in facts if (sure := _with_certainty(fact)) is not None)
        facts = [_with_code_of_words(fact) for fact in sure]
    return tuple(facts)


def _is_verified(resource: Any) -> bool:
    stated = resource.verificationStatus
    if stated is not None:
        for coding in stated.coding:
            if coding.code in _NEVER_VERIFICATION:
                return False
    return True


def _those_begun(
    facts: Sequence[_T], dates_of: Callable[[Sequence[_T]], list[str | None]], as_of: datetime
) -> Sequence[_T]:
    """Those that do not begin after `as_of`: an operation or an illness of next month is none yet.

    What is written with a day before yesterday is past in every time zone, and its date is not parsed.
    """
    last = (as_of - timedelta(days=1)).date().isoformat()
    texts = dates_of(facts)
    late = [text for text in texts if text and text >= last]
    if not late:  # nearly always
        return facts
    epoch = as_of.timestamp()
    ahead = {text for text in late if (time := parse_time(text)) is not None and time.is_after(epoch)}
    return [fact for fact, text in zip(facts, texts, strict=True) if text not in ahead]


_NOT_PERFORMED: Final = re.compile(
    r"\b(?:(?:not|never) (?:done|performed|carried out|completed|undertaken|given|attempted|had)|cancell?ed|aborted"
    r"|abandoned|declined|refused|deferred|postponed)\b(?= *(?:$|[-.,;:)/]|(?:due|because|by|per|as|for|today|on)\b))"
    r"|^(?:no|not|never|declined|refused)\b",
    re.IGNORECASE,
)
_OTHER_PART: Final = re.compile(r"[,;:()/]| - |\b(?:and|with|but|then)\b", re.IGNORECASE)


def says_not_performed(procedure: Procedure) -> bool:
    """Whether the words of a procedure, or of the reason for its status, say that it was not performed.

    What stands behind a comma or "with" before them is another part: "Colonoscopy, biopsy not done" was a colonoscopy.

    >>> from fhir.record.datatypes import CodeableConcept
    >>> says_not_performed(Procedure(status="completed", code=CodeableConcept(text="Carotid stent: not performed")))
    True
    """
    code, reason = procedure.code, procedure.statusReason
    return (code is not None and _deny_performance(code.words)) or (
        reason is not None and _deny_performance(reason.words)
    )


def _deny_performance(words: str) -> bool:
    match = _NOT_PERFORMED.search(words)
    return match is not None and _OTHER_PART.search(words[: match.start()].rstrip(" ,;:(/-")) is None


def _onsets(conditions: Sequence[Any]) -> list[str | None]:
    return [
        condition.onsetDateTime
        or (condition.onsetPeriod.start if condition.onsetPeriod is not None else None)
        or condition.recordedDate
        for condition in conditions
    ]


def _performed(procedures: Sequence[Any]) -> list[str | None]:
    return [
        procedure.performedDateTime
        or (procedure.performedPeriod.start if procedure.performedPeriod is not None else None)
        for procedure in procedures
    ]


_DATES: Final[dict[type[Any], Callable[[Sequence[Any]], list[str | None]]]] = {
    Condition: _onsets,
    Procedure: _performed,
}
"""The kinds of resources that are facts only once they have begun, with their dates."""
_CERTAINTY: Final = "diagnosesicherheit"
"""The end of the addresses of the German extension of a code (HL7 Germany, KBV)."""
_PROVISIONAL: Final = CodeableConcept((Coding(code="provisional"),))
_RESOLVED: Final = CodeableConcept((Coding(code="resolved"),))


def _with_certainty(condition: Condition) -> Condition | None:
    """Return the condition as sure as a German code says: A is excluded (None), V suspected, Z over ("state after")."""
    codings = condition.code.coding if condition.code is not None else ()
    stated = {
        part.valueCoding.code
        for coding in codings
        for part in coding.extension
        if part.valueCoding is not None and part.url.lower().endswith(_CERTAINTY)
    }
    if "A" in stated:
        return None
    if "V" in stated:
        condition = replace_fields(condition, verificationStatus=_PROVISIONAL)
    return replace_fields(condition, clinicalStatus=_RESOLVED) if "Z" in stated else condition


def _with_code_of_words(condition: Condition) -> Condition:
    """Return the condition with the code that its words name, where its own codes say nothing that is known here."""
    concept = condition.code
    if concept is None or (code := _code_to_add(concept)) is None:
        return condition
    return replace_fields(
        condition,
        code=replace_fields(
            concept, coding=(*concept.coding, Coding(system=ICD10_CM, code=code, display=concept.words))
        ),
    )


def _code_to_add(concept: CodeableConcept) -> str | None:
    """Return the code that the words name; None where a code of the concept says something.

    An ICD code says what it says, whether a table has it or not; of SNOMED CT and ICPC-2 the tables have a part.
    """
    return None if any(map(_is_read, concept.coding)) else code_of_words(concept.words)


def _is_read(coding: Coding) -> bool:
    short = code_system(coding.system)
    return short is not None and (
        short not in ("snomed", "icpc2") or bool(condition_groups_of(coding.system, coding.code))
    )


def class_of_words(words: str) -> str | None:
    """Return the class that a display names; None where it names none.

    >>> class_of_words("Support OP Encounter"), class_of_words("Inpatient"), class_of_words("Surgery")
    ('AMB', 'IMP', None)
    """
    return next((code for code, pattern in _WORDS if pattern.search(words) is not None), None)


def _with_known_class(visit: Encounter) -> Encounter:
    """Return the visit with the class of HL7 that its display names, where its own code is none of HL7's."""
    visit_class = visit.class_
    if visit_class is None or visit_class.code in VISIT_CLASSES or not visit_class.display:
        return visit
    code = class_of_words(visit_class.display)
    return (
        visit if code is None else replace_fields(visit, class_=replace_fields(visit_class, system=ACT_CODE, code=code))
    )


FACT_TYPES = (
    Observation,
    Condition,
    MedicationRequest,
    MedicationStatement,
    MedicationDispense,
    MedicationAdministration,
    AllergyIntolerance,
    Encounter,
    Procedure,
    DiagnosticReport,
    ServiceRequest,
    Appointment,
    Immunization,
    Device,
    CarePlan,
    DocumentReference,
    FamilyMemberHistory,
    Consent,
    Flag,
)
ANALYTE_POSITION = {key: position for position, key in enumerate(ANALYTES)}


class Found(Struct, frozen=True, gc=False):
    """The newest usable value; `refused` are the values that are newer and were not used, newest first."""

    measurement: Measurement
    refused: tuple[Refusal, ...] = ()


class Refused(Struct, frozen=True, gc=False):
    """There are values and none of them can be used; `refused` says why, newest first, and is never empty."""

    refused: tuple[Refusal, ...]


class Absent(Struct, frozen=True, gc=False):
    """There is no value, or none that is young enough: `last` is then the newest one, `refused` what is newer."""

    last: Measurement | None = None
    refused: tuple[Refusal, ...] = ()


Lookup: TypeAlias = Found | Refused | Absent

_NOTHING = Absent()


class AnalyteResults:
    """The results of one analyte; each is converted once, when a question first needs it."""

    __slots__ = (
        "_analyte",
        "_as_of_epoch",
        "_at_once",
        "_newest",
        "_ordered",
        "_outcomes",
        "_parts",
        "_refused",
        "_usable",
    )

    def __init__(self, analyte: Analyte, parts: Sequence[CodedPart], as_of_epoch: float) -> None:
        self._analyte = analyte
        self._parts = parts
        self._as_of_epoch = as_of_epoch
        self._outcomes: dict[int, Measurement | Refusal | None] = {}
        self._ordered: list[TimedPart] | None = None
        self._newest: Lookup | None = None
        self._at_once: list[CodedPart] = []
        self._usable: tuple[Measurement, ...] | None = None
        self._refused: Sequence[Refusal] = ()

    def lookup(self, max_age_days: float | None = None) -> Lookup:
        """Return the newest usable value that is at most so many whole days old, or why there is none.

        Looks no further back than the newest usable value.
        """
        newest = self._newest or self._find_newest()
        if max_age_days is None or type(newest) is not Found:
            return newest
        if newest.measurement.time.whole_days(self._as_of_epoch) > max_age_days:
            return Absent(newest.measurement, newest.refused)
        return newest

    def usable(self) -> tuple[Measurement, ...]:
        """Every usable value, newest first."""
        if self._usable is None:
            self._usable = tuple(self._measured(self._newest_first()))
        return self._usable

    def usable_with_code(self, code: str) -> list[Measurement]:
        """Those of them with this code."""
        return self._measured(newest_first([part for part in self._parts if part[2] == code]))

    def usable_since(self, instant: float) -> list[Measurement]:
        """Those of them that were measured at that epoch second or later."""
        timed = newest_first(parts_since(self._parts, instant)) if self._parts else []
        return self._measured([entry for entry in timed if instant <= entry[1] < UNDATED])

    def newest_together(self, max_age_days: float | None = None) -> list[Measurement]:
        """Return what `lookup` finds and the usable values of the same instant, in the order they came."""
        result = self.lookup(max_age_days)
        if type(result) is not Found:
            return []
        at_once = self._at_once
        return [result.measurement] if len(at_once) == 1 else self._measured(newest_first(at_once))

    def one_sided(self) -> list[OneSidedResult]:
        """Results that say only on which side of a number they lie, newest first."""
        results = (one_sided_result(self._analyte, part, self._as_of_epoch) for part, _, _ in self._newest_first())
        return list(dict.fromkeys(result for result in results if result is not None))

    def refusals(self) -> Sequence[Refusal]:
        """Return the values that are newer than the newest usable one, or all where there is none, newest first.

        What was entered in error is among them, though it makes no look-up a refused one: it was never a value.
        """
        if self._newest is None:
            self._find_newest()
        return self._refused

    def _find_newest(self) -> Lookup:
        # Calls of a visit ask in several threads: what one has found is never replaced by a step of another.
        if not self._parts:
            self._newest = _NOTHING
            return _NOTHING
        newest, at_once = newest_parts(self._parts)
        outcome = self._outcome(newest)
        if type(outcome) is Measurement:
            self._at_once = at_once
            self._newest = Found(outcome)
            return self._newest
        self._newest = self._look_back()
        return self._newest

    def _look_back(self) -> Lookup:
        """Return the newest usable value behind those that are refused."""
        refused = list[Refusal]()
        ordered = self._newest_first()
        for part, at, time in ordered:
            outcome = self._outcome(part, time)
            if isinstance(outcome, Measurement):
                self._at_once = [other for other, other_at, _ in ordered if other_at == at]
                self._refused = refused
                return Found(outcome, _values(refused))
            if outcome is not None:
                refused.append(outcome)
        self._refused, values = refused, _values(refused)
        return Refused(values) if values else _NOTHING

    def _newest_first(self) -> list[TimedPart]:
        if self._ordered is None:
            self._ordered = newest_first(self._parts)
        return self._ordered

    def _measured(self, timed: Iterable[TimedPart]) -> list[Measurement]:
        outcomes = [self._outcome(part, time) for part, _, time in timed]
        return [outcome for outcome in outcomes if type(outcome) is Measurement]

    def _outcome(self, part: CodedPart, time: FhirTime | None = None) -> Measurement | Refusal | None:
        # The parts live as long as this object, so an id means one part.
        outcomes, key = self._outcomes, id(part)
        if key in outcomes:
            return outcomes[key]
        outcomes[key] = measure(self._analyte, part, self._as_of_epoch, time)
        return outcomes[key]


def _values(refused: Iterable[Refusal]) -> tuple[Refusal, ...]:
    """Return those that were values, each once."""
    return tuple(dict.fromkeys(refusal for refusal in refused if refusal.reason != ENTERED_IN_ERROR))


NO_RESULTS = AnalyteResults(next(iter(ANALYTES.values())), (), 0.0)
"""The results of any analyte that a record has no value of: nothing that it is asked depends on which one."""


class ReadResources:
    """The resources of one patient as they were read, and what has been computed from them; owned by one record.

    The memory of what was computed lives here, so that it ends with the record. It holds one entry for each resource
    type, analyte or function that was asked for, so the size of the prefetch bounds it.
    """

    __slots__ = (
        "by_analyte",
        "by_type",
        "derived",
        "encoded",
        "facts",
        "kinds",
        "medications",
        "opt_out_flags",
        "patient",
        "refusals",
        "results",
        "unread",
    )

    def __init__(self) -> None:
        self.patient: Patient | None = None
        self.medications: dict[str, Medication] = {}
        self.by_type: dict[type[Any], list[Any]] = {kind: [] for kind in FACT_TYPES}
        self.refusals: list[Refusal] = []
        self.encoded: dict[type[Any], bytes] = {}
        """The resources of a kind as JSON, where reading made it, until the lean chart has taken it."""
        self.kinds: set[type[Any]] = set()
        """The types of what came, whether it is used or not."""
        self.facts: dict[type[Any], tuple[Any, ...]] = {}
        self.by_analyte: dict[str, list[CodedPart]] = {}
        """The results by analyte; empty until they are first asked for, and then with the key `OTHER` at least."""
        self.results: dict[str, AnalyteResults] = {}
        self.derived: dict[object, Any] = {}
        self.unread: list[Refusal] = []
        self.opt_out_flags: frozenset[SystemAndCode] = frozenset()
        """The codes that say on a Flag at this site that the patient has opted out."""

    def with_refusals(self, refusals: Iterable[Refusal]) -> "ReadResources":
        """Return the same resources for a call in which these could not be read either; it derives its own."""
        resources = ReadResources()
        resources.patient, resources.medications, resources.by_type = self.patient, self.medications, self.by_type
        resources.refusals, resources.kinds = [*self.refusals, *refusals], self.kinds
        return resources

    def facts_of(self, kind: type[_T], as_of: datetime) -> tuple[_T, ...]:
        """Return the facts of a kind at that instant."""
        resources, dates_of = self.by_type[kind], _DATES.get(kind)
        facts = _facts_at_any_time(resources, kind) if resources else ()
        if facts and dates_of is not None:
            facts = tuple(_those_begun(facts, dates_of, as_of))
        self.facts[kind] = facts
        return facts

    def results_of(self, analyte: str, as_of_epoch: float) -> AnalyteResults:
        """Return the results of an analyte, put together when they are first asked for."""
        results = self.results.get(analyte)
        if results is None:
            meaning, parts = ANALYTES[analyte], (self.by_analyte or self._sort_results()).get(analyte, ())
            # Of most that a model asks for there is nothing to find, to refuse or to keep.
            results = self.results[analyte] = AnalyteResults(meaning, parts, as_of_epoch) if parts else NO_RESULTS
        return results

    def parts_of(self, key: str) -> Sequence[CodedPart]:
        """Return the Observations with a code of an analyte or a question, and their parts, in the order they came."""
        return (self.by_analyte or self._sort_results()).get(key, ())

    def _sort_results(self) -> dict[str, list[CodedPart]]:
        by_analyte = parts_by_analyte(self.by_type[Observation])
        for name, contained in parts_by_analyte(self._contained_results()).items():
            # Genetic results within reports are read there (fhir/mapping/genomics/reports.py).
            if name in ANALYTES and ANALYTES[name].kind != "code":
                by_analyte[name] = [*by_analyte.get(name, ()), *contained]
        self.unread = refusal_of_unread(by_analyte.setdefault(OTHER, []))
        self.by_analyte = by_analyte
        return by_analyte

    def _contained_results(self) -> Iterator[Observation]:
        """Yield the results within reports and panels, with the date and a status of these where they say more."""
        for outer in (*self.by_type[DiagnosticReport], *self.by_type[Observation]):
            for inner in outer.contained:
                if not isinstance(inner, Observation) or outer.status in NEVER_STATUS:
                    continue
                whose = inner.subject.reference if inner.subject is not None else None
                if whose and outer.subject is not None and whose != outer.subject.reference:
                    continue
                yield replace_fields(
                    inner,
                    id=f"{outer.id}#{inner.id}",
                    status=inner.status if outer.status in USABLE_STATUS else outer.status or inner.status,
                    effectiveDateTime=inner.effectiveDateTime or outer.effectiveDateTime,
                    issued=inner.issued or outer.issued,
                )

    def refused_results(self, requested: frozenset[str] | None, as_of_epoch: float) -> Iterator[Refusal]:
        """Yield the Observations that cannot be used: those with no code that is read, then values by analyte.

        `requested` are the analytes that were asked for (None: all). An answer in codes is no number and no gap.
        """
        if not self.by_type[Observation] and not self.by_type[DiagnosticReport]:
            return
        self.parts_of(OTHER)
        yield from self.unread
        came = ANALYTES.keys() & self.by_analyte.keys()
        for key in sorted(came if requested is None else came & requested, key=ANALYTE_POSITION.__getitem__):
            if (analyte := ANALYTES[key]).kind == "code":
                continue
            # Mostly nobody has asked for it, and its newest value can be used: nothing is refused that is newer.
            if (results := self.results.get(key)) is None:
                newest, _ = newest_parts(self.by_analyte[key])
                if type(measure(analyte, newest, as_of_epoch)) is Measurement:
                    continue
                results = self.results_of(key, as_of_epoch)
            yield from results.refusals()
