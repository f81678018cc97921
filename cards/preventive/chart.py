"""What a chart tells about a screening test: when it was done and with which result, whether ordered or declined.

Done: a completed Procedure, a final DiagnosticReport or a final Observation that names the test. Ordered: an open
ServiceRequest of the last 90 days. What was declined is read by fhir/mapping/declined.py.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from datetime import date
from functools import cached_property
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct

from cards.preventive.knowledge import tests_named
from fhir.mapping.conditions import condition_status, condition_time
from fhir.mapping.declined import Declined, declined_in_chart, is_open_order
from fhir.mapping.study_words import says_no_result
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.measurement import USABLE_STATUS, CodedPart, effective_time, newest_parts, newest_statement
from fhir.record.record import PatientRecord
from fhir.record.resources import (
    Condition,
    DiagnosticReport,
    Observation,
    ObservationComponent,
    Procedure,
    ServiceRequest,
)
from fhir.terminology.analytes import LOINC_SYSTEMS

_STOPPED: Final = "stopped"
_BEGUN: Final = frozenset({"completed", _STOPPED})
_FINAL_REPORT: Final = USABLE_STATUS | {"appended"}
_PRELIMINARY: Final = "preliminary"
_WITH_FIRST_WORDS: Final = _FINAL_REPORT | {_PRELIMINARY}
_BY_FIRST_WORD: Final = frozenset({"blood_culture"})
"""A blood culture is told by its first report: the final one takes days."""
_CULTURES: Final = _BY_FIRST_WORD | {"urine_culture"}
_CULTURE: Final = re.compile(r"[ck]ultur(?!al)|cultiv|kweek|coltur")
_CULTURE_DAYS: Final = 30
"""So old a culture that is not final is still told; the project's own choice."""
# FHIR R4, diagnostic-report-status and observation-status; an order is 0, what is final 2.
_STAGES: Final = {"registered": 1, "partial": 1, _PRELIMINARY: 1} | dict.fromkeys(("cancelled", "entered-in-error"), -1)
# HL7 v3 ObservationInterpretation.
_POSITIVE_CODES: Final = frozenset({"POS", "A", "AA", "DET", "RR", "WR"})
_NEGATIVE_CODES: Final = frozenset({"NEG", "N", "ND", "NR"})
_CRITICAL_CODES: Final = frozenset({"HH", "LL", "AA"})
_CRITICAL_WORDS: Final = re.compile(r"(?:critical(?:ly)?|panic)\b|(?:high|low) (?:critical|panic)$", re.IGNORECASE)
_NEGATED: Final = re.compile(
    r"\bnegative for [^.;]*|\b(?:previous\w*|prior|formerly)\b[^.;,]*|\bpositive control\b"
    r"|\b(?:no|none|neither|never)(?: [\w-]+){0,4}? (?:positive|reactive|detected|present)\b"
    r"|\b(?:not?|nicht|pas) (?:\w+ )?(?:positi\w+|reactive|detected)\b|\b(?:not?|non|nicht|pas)\b[- ]?\w*"
    r"|\bnonreactive\b|\bundetected\b"
)
_NEGATIVE: Final = re.compile(r"\b(?:n[eé]gativ[eoa]?|n[eé]gatif|neg|nilm|normal|absent)\b")
_POSITIVE: Final = re.compile(
    r"\b(?:positiv[eoa]?|positif|pos|detected|reactive|abnormal|present|asc|ascus|lsil|hsil|agc|cin|carcinoma"
    r"|dysplasia)\b"
)

_LONGEST_NAME: Final = 200
_MOST_NAMED: Final = 50
"""Bounds, so that a name of many clauses is not read once for each of them."""


class Done(Struct, frozen=True, dict=True):
    """A test that was done: its name, when, where that stands, and whether its result says positive (None: no word).

    `time` is None where the entry has no date. `result` is what the entry says came of it: the value, the conclusion,
    the outcome and the notes, " | " between them. A test that `is_incomplete` was not done to its end and does not
    count.
    """

    test: str
    time: FhirTime | None
    source: str
    words: str
    is_positive: bool | None = None
    result: str = ""
    is_incomplete: bool = False

    @property
    def day(self) -> date | None:
        """The last day that the date can mean: an entry of 2019 counts as done on its last day."""
        return self.time.last_day if self.time is not None else None

    @property
    def when(self) -> str:
        """The day, the month or the year as the chart writes it, "" where it has none."""
        return self.time.date if self.time is not None else ""

    @cached_property
    def clauses(self) -> tuple[str, ...]:
        """The clauses of the result without what is denied in them; those of the name where there is no result."""
        clauses = _CLAUSES.split(newest_statement(self.result or self.words).lower())
        affirmed = [(clause, _DENIED_BEFORE.sub("", clause).strip()) for clause in clauses]
        return tuple([words for clause, words in affirmed if words and _DENIED_AFTER.search(clause) is None])

    @cached_property
    def named_clauses(self) -> tuple[str, ...]:
        """The clauses, each of the first `_MOST_NAMED` behind the name of the entry."""
        name = self.words[:_LONGEST_NAME].lower()
        named = (f"{name}: {clause}" for clause in self.clauses[:_MOST_NAMED])
        return (*named, *self.clauses[_MOST_NAMED:])


# Clauses of a report: what denies a finding stands in the same one. A point within a number ends none.
# A size belongs to what stands before its comma: "aneurysm, diameter 56 mm", "AAA, 5.6 cm".
_CLAUSES: Final = re.compile(
    r"[;|\n]|\.(?!\d| ?(?:durchm|diam))"
    r"|,(?!\d| (?:max\w{0,10}\.? )?(?:diam|durchm|measur|mesur|misur|mide|meet)| \d[\d.,]{0,4} ?[cm]m(?:[.;,]|$)"
    r"| (?:the )?(?:largest|larger|one) (?:of |measuring |was |is )?\d)"
)
_DENIED_AFTER: Final = re.compile(
    r"\b(?:not (?:\w+ )?(?:detected|identified|seen|present|found|positive|reactive)|negative(?! for)|non[- ]?reactive"
    r"|undetect\w+|absent|ruled out|ausgeschlossen|nicht (?:nachweisbar|nachgewiesen)|niet (?:aantoonbaar|gezien)"
    r"|non (?:rilevat|retrouv|détect)\w+|no detectad\w|négati\w+|negati[fv]\w*)\b(?! for)"
)
_DENIED_BEFORE: Final = re.compile(
    r"\b(?:negative for|no evidence of|no sign of|without|no(?! \d)|prior|previous\w*|compared|history of|h/o|if"
    r"|rule out|none|neither|never|kein\w*|ohne|ausschluss|vorbefund\w*|pas d|sans|absence|aucune?|sin|ausencia|senza"
    r"|assenza|nessun\w*|geen|zonder|sem|ausência|ingen|inga|utan|uden|uten)\b.*"
)
# What the words of an entry say beside the name of a test where it was not done, or not to its end.
_NOT_DONE: Final = re.compile(
    r"^\W*(?:no|not|never|needs?|planned|offered|attempted|prep(?:aration)?)\b"
    r"|\b(?:not (?:done|performed)|never (?:done|had)|consult\w*|discuss\w*|counsel\w*"
    r"|education|referral|referred|schedul\w*|(?:over)?due\b(?! to)|declined|refused)\b",
    re.IGNORECASE,
)
_INCOMPLETE: Final = re.compile(
    r"\b(?:incomplete|aborted|abandoned|terminated|not completed)\b"
    r"|\b(?:inkomplett\w*|unvollständig\w*|abgebrochen|incompl[eè]te|incomplet[ao]|onvolledig\w*)\b"
    r"|\bnicht erreicht\b|\bnon (?:atteint|raggiunto)\b|\bno (?:se )?(?:alcanza\w*|alcanzado)\b|\bniet bereikt\b"
    r"|\b(?:poor|inadequate|insufficient) (?:bowel |colon )?prep"
    r"|\bprep\w*\b[^.;|]{0,30}\b(?:poor|inadequate|insufficient)"
    r"|\b(?:ca?ecum|ileum|right colon)\b[^.;|]{0,30}\bnot (?:be )?(?:reached|intubated|seen|visuali[sz]ed)"
    r"|\b(?:not|unable to|could not|failed to) (?:reach|intubate|be advanced|advance|complete)\b",
    re.IGNORECASE,
)
_UNSATISFACTORY: Final = re.compile(
    r"\bunsatisfactory\b|\b(?:specimen|sample) (?:was )?(?:insufficient|rejected|not received)"
    r"|^\W*(?:test )?(?:not (?:received|collected|performed|done)|cancel+ed|quantity not sufficient|qns\b)",
    re.IGNORECASE,
)
_TO_THE_END: Final = frozenset({"colonoscopy", "sigmoidoscopy", "ct_colonography"})
"""Where the outcome may say that the test was incomplete; "BI-RADS 0, incomplete" is the result of a mammogram."""
_TALKS: Final = frozenset({"tobacco_counselling", "statin_talk", "vascular_surgery"})
# "Date of last colonoscopy": the value says when it was done, the entry when somebody asked.
_WHEN_DONE: Final = re.compile(r"\b(?:date|year) of\b|\b(?:last|most recent|previous)\b", re.IGNORECASE)


def years_after(day: date, years: int) -> date:
    """Return the same day so many years later; 29 February becomes 1 March."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def done(record: PatientRecord, name: str, *, incomplete: bool = False) -> list[Done]:
    """Every time that the chart says the test was done, newest first; what has no date stands last.

    `incomplete`: instead every time that it was begun and not done to its end.
    """
    entries = record.derive(_that_name_tests).get(name)
    if entries is None:
        return []
    tests = [read(name, entry) for read, entry in entries]
    # A procedure without words of its own beside the report of the same day: what the report says is true of both.
    broken_off = {test.day for test in tests if test.is_incomplete}
    past = [
        test
        for test in tests
        if (test.is_incomplete or (not test.result and test.day is not None and test.day in broken_off)) == incomplete
        and (test.time is None or not test.time.is_after(record.as_of_epoch))
    ]
    return sorted(past, key=lambda test: test.day.toordinal() if test.day is not None else 0, reverse=True)


def results_of(
    record: PatientRecord, names: Collection[str], others: Sequence[Done] = (), *, incomplete: bool = False
) -> list[Done]:
    """Every entry about one of these tests that has a date before now, newest first, each entry once.

    `others` are entries of another name that are among them for what they say. `incomplete`: those that were not done
    to their end.
    """
    if not others and record.derive(_that_name_tests).keys().isdisjoint(names):
        return []
    entries = [*(test for name in names for test in done(record, name, incomplete=incomplete)), *others]
    now = record.as_of_epoch
    past = {test.source: test for test in reversed(entries) if test.time is not None and not test.time.is_after(now)}
    return sorted(past.values(), key=lambda test: test.time.instant if test.time is not None else 0.0, reverse=True)


def tests_on_chart(record: PatientRecord) -> Set[str]:
    """Return the names of the tests that an entry of the chart names."""
    return record.derive(_that_name_tests).keys()


def other_entries(record: PatientRecord) -> list[Done]:
    """Return reports and results by any name that have words of their own, and active problems."""
    reports = [_of_report("", report) for report in record.facts(DiagnosticReport) if report.status in _FINAL_REPORT]
    parts = [
        _of_result("", part)
        for part in record.screening_parts()
        if part[0].status in USABLE_STATUS and _has_value(part)
    ]
    problems = [
        Done("", condition_time(condition, record), f"Condition/{condition.id}", condition.code.words)
        for condition in record.facts(Condition)
        if condition.code is not None and condition_status(condition, record.as_of_epoch) != "past"
    ]
    return [*(entry for entry in (*reports, *parts) if entry.result), *problems]


def marked_critical(record: PatientRecord) -> list[Done]:
    """Return the results that the laboratory marks as critical, if no value of that name has a newer date."""
    parts = [(key, part) for key in record.analytes for part in record.resources.parts_of(key)]
    usable = [(key, part) for key, part in parts if part[0].status in USABLE_STATUS]
    marked: dict[tuple[str, str], list[CodedPart]] = {
        _test_of(key, part): [] for key, part in usable if part[1].interpretation and _is_critical(part)
    }
    for key, part in usable if marked else ():
        if (test := _test_of(key, part)) in marked and (_is_critical(part) or _replaces(part)):
            marked[test].append(part)
    last = ((key, list(filter(_is_critical, newest_parts(results)[1]))) for (key, _), results in marked.items())
    return [_of_result(key, critical[0]) for key, critical in last if critical]


def _test_of(key: str, part: CodedPart) -> tuple[str, str]:
    """Return the analyte of a result, or its own name where it is of none."""
    return key, "" if key not in ("", "screening") else part[1].code.words


def _is_critical(part: CodedPart) -> bool:
    words = (concept.words for concept in part[1].interpretation)
    return bool(_codes_of(part) & _CRITICAL_CODES) or any(map(_CRITICAL_WORDS.match, words))


def _replaces(part: CodedPart) -> bool:
    return _has_value(part) and effective_time(part[0]) is not None


def _codes_of(part: CodedPart) -> set[str]:
    return {coding.code for concept in part[1].interpretation for coding in concept.coding}


def cultures_under_way(record: PatientRecord) -> list[Done]:
    """Return the cultures of the last days that are ordered or begun and not final, without what a later entry ends."""
    orders = (item for item in record.facts(ServiceRequest) if item.status != "draft" and is_open_order(item, record))
    ordered = ((item, item.code, parse_time(item.authoredOn or "")) for item in orders if item.code is not None)
    reports, parts = record.facts(DiagnosticReport), record.screening_parts()
    cultures = [
        *((0, Done(_culture(code), time, f"ServiceRequest/{item.id}", code.words)) for item, code, time in ordered),
        *((_STAGES.get(item.status or "", 2), _of_report(_culture(item.code), item)) for item in reports),
        *((_STAGES.get(part[0].status, 2), _of_result(_culture(part[1].code), part)) for part in parts),
    ]
    dated = [(stage, entry, entry.day) for stage, entry in cultures if entry.test and entry.day is not None]
    return [
        entry
        for stage, entry, day in dated
        if stage in (0, 1)
        and (record.as_of.date() - day).days <= _CULTURE_DAYS
        and not any(later > stage and other.test == entry.test and since >= day for later, other, since in dated)
    ]


def _culture(concept: CodeableConcept | None) -> str:
    """Return which culture a concept means, its own words for one that has no name; "" for none."""
    if concept is None:
        return ""
    words = concept.words.lower()
    return min(tests_named(concept) & _CULTURES, default=words if _CULTURE.search(words) else "")


def is_ordered(record: PatientRecord, name: str) -> str | None:
    """Return the open order of the last 90 days that names the test, as Type/id; None where there is none."""
    for request, names in record.derive(_open_requests):
        if name in names:
            return f"ServiceRequest/{request.id}"
    return None


def declined(record: PatientRecord, name: str) -> tuple[str, str] | None:
    """Where it says that the patient declined the test within a year, with the day; None where nothing does."""
    entries = (entry for entry, names in record.derive(_refused) if name in names)
    return next(((entry.source, entry.time.date if entry.time is not None else "") for entry in entries), None)


_Entry = TypeVar("_Entry")
_Read: TypeAlias = Callable[[str, Any], Done]


def _that_name_one(entries: Iterable[tuple[_Entry, CodeableConcept | None]]) -> list[tuple[_Entry, frozenset[str]]]:
    """Those whose concept means tests, with the names of these."""
    return [(entry, names) for entry, concept in entries if concept is not None and (names := tests_named(concept))]


def _that_did_one(entries: Iterable[tuple[_Entry, CodeableConcept | None]]) -> list[tuple[_Entry, frozenset[str]]]:
    """Return the same without those whose words say that the test was not done ("no colonoscopy", "incomplete ...")."""
    concepts = [(entry, concept) for entry, concept in entries if concept is not None]
    with_names = ((entry, concept, tests_named(concept)) for entry, concept in concepts)
    return [
        (entry, names & _TALKS if names and _says_not_done(concept) else names) for entry, concept, names in with_names
    ]


def _says_not_done(concept: CodeableConcept) -> bool:
    """Whether the chart's own words say so; without any, those of its codes. LOINC's names may hold such words."""
    return any(_NOT_DONE.search(words) is not None for words in _chart_words(concept))


def _chart_words(concept: CodeableConcept) -> list[str]:
    texts = (
        [concept.text]
        if concept.text
        else [coding.display for coding in concept.coding if coding.system not in LOINC_SYSTEMS]
    )
    return [words for words in texts if words]


def _open_requests(record: PatientRecord) -> list[tuple[ServiceRequest, frozenset[str]]]:
    return _that_name_one(
        (service_request, service_request.code)
        for service_request in record.facts(ServiceRequest)
        if is_open_order(service_request, record)
    )


def _refused(record: PatientRecord) -> list[tuple[Declined, frozenset[str]]]:
    return _that_name_one((entry, entry.concept) for entry in declined_in_chart(record))


def _that_name_tests(record: PatientRecord) -> dict[str, list[tuple[_Read, Any]]]:
    """Procedures, then reports, then results by the tests that they name, each with what reads it; most name none."""
    reports = record.facts(DiagnosticReport)
    parts = [part for part in record.screening_parts() if part[0].status in _WITH_FIRST_WORDS and _has_value(part)]
    kinds: tuple[tuple[_Read, list[tuple[Any, frozenset[str]]]], ...] = (
        (_of_procedure, _that_did_one((item, item.code) for item in record.facts(Procedure) if item.status in _BEGUN)),
        (_of_report, _that_did_one((item, item.code) for item in reports if item.status in _WITH_FIRST_WORDS)),
        (_of_result, _that_did_one((part, part[1].code) for part in parts)),
    )
    by_test: dict[str, list[tuple[_Read, Any]]] = {}
    for read, entries in kinds:
        for entry, names in entries:
            status = (entry[0] if isinstance(entry, tuple) else entry).status
            for name in names if status != _PRELIMINARY else names & _BY_FIRST_WORD:
                by_test.setdefault(name, []).append((read, entry))
    return by_test


def _of_procedure(name: str, procedure: Procedure) -> Done:
    words = procedure.code.words if procedure.code is not None else ""
    concepts = [concept for concept in (procedure.outcome, procedure.statusReason) if concept is not None]
    outcome = _joined([text for concept in concepts for text in concept.texts] + [note.text for note in procedure.note])
    is_incomplete = procedure.status == _STOPPED or _says_incomplete(name, procedure.code, outcome)
    return Done(
        name, _performed(procedure), f"Procedure/{procedure.id}", words, result=outcome, is_incomplete=is_incomplete
    )


def _says_incomplete(name: str, concept: CodeableConcept | None, result: str) -> bool:
    names = _chart_words(concept) if concept is not None else []
    if any(_INCOMPLETE.search(words) is not None for words in names) or _UNSATISFACTORY.search(result) is not None:
        return True
    return name in _TO_THE_END and _INCOMPLETE.search(result) is not None


def _performed(procedure: Procedure) -> FhirTime | None:
    period = procedure.performedPeriod
    return parse_time(procedure.performedDateTime or (period.end or period.start if period is not None else None) or "")


def _of_report(name: str, report: DiagnosticReport) -> Done:
    words = report.code.words if report.code is not None else ""
    conclusion = _joined(
        [report.conclusion or "", *(text for concept in report.conclusionCode for text in concept.texts)]
    )
    is_incomplete = _says_incomplete(name, report.code, conclusion)
    return Done(
        name,
        _reported(report),
        f"DiagnosticReport/{report.id}",
        words,
        result=conclusion,
        is_incomplete=is_incomplete,
    )


def _joined(texts: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(filter(None, texts)))


def _reported(report: DiagnosticReport) -> FhirTime | None:
    period = report.effectivePeriod
    text = report.effectiveDateTime or (period.end or period.start if period is not None else None) or report.issued
    return parse_time(text or "")


def _of_result(name: str, part: CodedPart) -> Done:
    observation, value, _ = part
    source = f"Observation/{observation.id}" if observation.id else "Observation without id"
    code = value.code
    typed = next((_HPV_TYPES[coding.code] for coding in code.coding if coding.code in _HPV_TYPES), None)
    words = code.words if code.texts or typed is None else typed
    time = _charted_time(part) if _WHEN_DONE.search(words) else effective_time(observation)
    result = _joined([_number_words(value), *_value_words(part)])
    return Done(name, time, source, words, _is_positive(part), result, _says_incomplete(name, value.code, result))


def _number_words(value: Observation | ObservationComponent) -> str:
    if value.valueInteger is not None:
        return str(value.valueInteger)
    quantity = value.valueQuantity
    if quantity is None or quantity.value is None:
        return ""
    return f"{quantity.comparator}{quantity.value:g} {quantity.unit or quantity.code}".strip()


def _charted_time(part: CodedPart) -> FhirTime | None:
    """When a test was done by the value of an entry that asks for it; None where that is not a date of FHIR."""
    texts = (part[1].valueDateTime, *_value_words(part))
    return next((time for text in texts if text and (time := parse_time(text.strip())) is not None), None)


def _value_words(part: CodedPart) -> list[str]:
    value = part[1]
    texts = value.valueCodeableConcept.texts if value.valueCodeableConcept is not None else ()
    return [value.valueString, *texts] if value.valueString else [*texts]


# LOINC: the type of the virus, where a result names it by its code only.
_HPV_TYPES: Final = dict.fromkeys(("59263-4", "61372-9", "77399-4", "91856-5"), "HPV 16") | dict.fromkeys(
    ("59264-2", "61373-7", "77400-0", "91854-0"), "HPV 18"
)


def _has_value(part: CodedPart) -> bool:
    """Not where the value is absent or none ("unsatisfactory"); a panel without its own may stand for its parts."""
    return part[1].dataAbsentReason is None and not any(map(says_no_result, _value_words(part)))


def _is_positive(part: CodedPart) -> bool | None:
    """Return what the codes and words of a result say; None where they say neither."""
    codes = _codes_of(part)
    if codes & _POSITIVE_CODES:
        return True
    if codes & _NEGATIVE_CODES:
        return False
    text = " ; ".join(map(newest_statement, _value_words(part))).lower()
    affirmed = _NEGATED.sub(" ; ", text)
    if _POSITIVE.search(affirmed):
        return True
    return False if affirmed != text or _NEGATIVE.search(affirmed) else None
