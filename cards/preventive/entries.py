"""Reads one entry of a chart as a test: a procedure, a report or a result, with what its words say came of it."""

import re
from collections.abc import Iterable
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final

from msgspec import Struct

from fhir.mapping.study_words import says_no_result
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.measurement import CodedPart, effective_time, newest_statement
from fhir.record.resources import DiagnosticReport, Observation, ObservationComponent, Procedure
from fhir.record.site_file import read_toml_as
from fhir.terminology.analytes import LOINC_SYSTEMS

STOPPED: Final = "stopped"
# HL7 v3 ObservationInterpretation.
_POSITIVE_CODES: Final = frozenset({"POS", "A", "AA", "DET", "RR", "WR"})
_NEGATIVE_CODES: Final = frozenset({"NEG", "N", "ND", "NR"})


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile("|".join(_WORDS[name]), re.IGNORECASE)


_WORDS: Final = read_toml_as(Path(__file__).parent / "entry_words.toml", dict[str, tuple[str, ...]])
_NEGATED, _NEGATIVE, _POSITIVE = map(_pattern, ("negated", "negative", "positive"))
_CLAUSES, _DENIED_AFTER, _DENIED_BEFORE = map(_pattern, ("clauses", "denied_after", "denied_before"))
_NOT_DONE, _INCOMPLETE, _UNSATISFACTORY = map(_pattern, ("not_done", "incomplete", "unsatisfactory"))
_WHEN_DONE: Final = _pattern("when_done")
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

    @property
    def whole(self) -> str:
        """The name and the whole result, in lower case."""
        return f"{self.words}: {self.result}".lower()

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


_TO_THE_END: Final = frozenset({"colonoscopy", "sigmoidoscopy", "ct_colonography"})
"""Where the outcome may say that the test was incomplete; "BI-RADS 0, incomplete" is the result of a mammogram."""


def says_not_done(concept: CodeableConcept) -> bool:
    """Whether the chart's own words say so; without any, those of its codes. LOINC's names may hold such words."""
    return any(_NOT_DONE.search(words) is not None for words in _chart_words(concept))


def _chart_words(concept: CodeableConcept) -> list[str]:
    texts = (
        [concept.text]
        if concept.text
        else [coding.display for coding in concept.coding if coding.system not in LOINC_SYSTEMS]
    )
    return [words for words in texts if words]


def read_procedure(name: str, procedure: Procedure) -> Done:
    """Return a procedure with its outcome and notes."""
    words = procedure.code.words if procedure.code is not None else ""
    concepts = [concept for concept in (procedure.outcome, procedure.statusReason) if concept is not None]
    outcome = _joined([text for concept in concepts for text in concept.texts] + [note.text for note in procedure.note])
    is_incomplete = procedure.status == STOPPED or _says_incomplete(name, procedure.code, outcome)
    return Done(name, procedure.finished, procedure.source, words, result=outcome, is_incomplete=is_incomplete)


def _says_incomplete(name: str, concept: CodeableConcept | None, result: str) -> bool:
    names = _chart_words(concept) if concept is not None else []
    if any(_INCOMPLETE.search(words) is not None for words in names) or _UNSATISFACTORY.search(result) is not None:
        return True
    return name in _TO_THE_END and _INCOMPLETE.search(result) is not None


def read_report(name: str, report: DiagnosticReport) -> Done:
    """Return a report with its conclusion."""
    words = report.code.words if report.code is not None else ""
    texts = (text for concept in report.conclusionCode for text in concept.texts)
    conclusion = _joined([report.conclusion or "", *texts])
    is_incomplete = _says_incomplete(name, report.code, conclusion)
    return Done(name, _reported(report), report.source, words, result=conclusion, is_incomplete=is_incomplete)


def _joined(texts: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(filter(None, texts)))


def _reported(report: DiagnosticReport) -> FhirTime | None:
    period = report.effectivePeriod
    text = report.effectiveDateTime or (period.end or period.start if period is not None else None) or report.issued
    return parse_time(text)


def words_of_result(part: CodedPart) -> tuple[str, str]:
    """Return what a result is called, and its value in words."""
    code = part[1].code
    typed = () if code.texts else (_HPV_TYPES[coding.code] for coding in code.coding if coding.code in _HPV_TYPES)
    return next(iter(typed), code.words), _joined([_number_words(part[1]), *_value_words(part)])


def read_result(name: str, part: CodedPart) -> Done:
    """Return a result with its value, and whether it says positive."""
    observation, value, _ = part
    words, result = words_of_result(part)
    time = _charted_time(part) if _WHEN_DONE.search(words) else effective_time(observation)
    return Done(
        name, time, observation.source, words, _is_positive(part), result, _says_incomplete(name, value.code, result)
    )


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
    concept = value.valueCodeableConcept or CodeableConcept()
    texts = concept.texts or [_ANSWERS[coding.code] for coding in concept.coding if coding.code in _ANSWERS]
    return [value.valueString, *texts] if value.valueString else [*texts]


# LOINC: the answers of the PHQ-9 that are not "Not at all".
_ANSWERS: Final = {"LA6569-3": "Several days", "LA6570-1": "More than half the days", "LA6571-9": "Nearly every day"}
# LOINC: the type of the virus, where a result names it by its code only.
_HPV_TYPES: Final = dict.fromkeys(("59263-4", "61372-9", "77399-4", "91856-5"), "HPV 16") | dict.fromkeys(
    ("59264-2", "61373-7", "77400-0", "91854-0"), "HPV 18"
)


def has_value(part: CodedPart) -> bool:
    """Not where the value is absent or none ("unsatisfactory"); a panel without its own may stand for its parts."""
    return part[1].dataAbsentReason is None and not any(map(says_no_result, _value_words(part)))


def _is_positive(part: CodedPart) -> bool | None:
    """Return what the codes and words of a result say; None where they say neither."""
    codes = interpretation_codes(part)
    if codes & _POSITIVE_CODES:
        return True
    if codes & _NEGATIVE_CODES:
        return False
    text = " ; ".join(map(newest_statement, _value_words(part))).lower()
    affirmed = _NEGATED.sub(" ; ", text)
    if _POSITIVE.search(affirmed):
        return True
    return False if affirmed != text or _NEGATIVE.search(affirmed) else None


def interpretation_codes(part: CodedPart) -> set[str]:
    """Return the codes of how the laboratory judges the result."""
    return {coding.code for concept in part[1].interpretation for coding in concept.coding}
