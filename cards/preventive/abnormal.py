"""Results that end a screening's silence: an abnormal result without what has to follow it is told before what is due.

The rows of `abnormal_results.json` say which result (words of a report, a number of an analyte), what follows, within
how many days and by which source, and what settles it: a later test, operation, order, condition or treatment. Of the
rows of one screening the first that is open is told. What the project chose itself stands in the row's `note`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from math import inf, isclose
from typing import Final, TypeAlias

from msgspec.structs import replace

from cards.extension import Fact
from cards.preventive.abnormal_rows import (
    ABNORMAL_RESULTS,
    AFFIRMED,
    BY_ANY_ENTRY,
    BY_CODE,
    BY_MEDICATION,
    LIMITS,
    ROWS_OF,
    AbnormalResult,
    Threshold,
)
from cards.preventive.chart import (
    declined,
    done,
    is_ordered,
    marked_critical,
    other_entries,
    results_of,
    tests_on_chart,
)
from cards.preventive.entries import Done
from cards.preventive.recommendation import FOLLOW_UP, Recommendation, words_of
from cards.rules.families.ddi.conditions import order_treats
from cards.rules.patient.measurements import measurement_fact, newer_bound
from cards.text import first_few, format_number, plain, unit
from fhir.mapping.allergies import allergy_to_class
from fhir.mapping.condition_concepts import words_take_back
from fhir.mapping.conditions import (
    ConditionHit,
    charted_groups,
    condition_status,
    condition_time,
    dated,
    find_condition,
)
from fhir.mapping.declined import declined_in_chart, declined_medicine
from fhir.mapping.gestation import gestation
from fhir.mapping.kidney_course import acute_rise, kidney_failure, low_egfr
from fhir.mapping.medications.active import (
    ActiveMedication,
    active_medications,
    ended_medications,
    orders_ever_taken,
    orders_not_active,
    unreadable_medications,
    words_of_unreadable,
    written_at,
)
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept, identify_product
from fhir.mapping.shown_by_results import shown_by_result
from fhir.record.datatypes import DAY_SECONDS, CodeableConcept, FhirTime, parse_time
from fhir.record.facts import Found
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Immunization, MedicationAdministration
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import code_system

_OF_THIS_RESULT: Final = ("colorectal_cancer", "breast_cancer", "lung_cancer")
"""A cancer settles the result that found it and not one that came after it."""

FollowUp: TypeAlias = Recommendation[AbnormalResult]
"""What an abnormal result needs that nothing on record has followed."""


def open_results(record: PatientRecord) -> tuple[FollowUp, ...]:
    """Return the results that wait for what follows them, the first row of each screening, in the table's order."""
    by_screening: dict[str, list[FollowUp]] = {}
    age = _years(record)
    for row in _rows_on_chart(record):
        of_screening = by_screening.setdefault(row.screening, [])
        if (row.lacking or not of_screening) and _was_sent(row, record) and _is_for(row, age, record):
            result = _open_number(row, record) if row.analytes else _open_words(row, record)
            of_screening += [_naming_unreadable(result, record)] if result is not None else []
    results = [_together(of_screening) for of_screening in by_screening.values() if of_screening]
    told = set[str]().union(*(_sources(result) for result in results if not result.row.unless_told))
    results = [result for result in results if not result.row.unless_told or told.isdisjoint(_sources(result))]
    told.update(*map(_sources, results))
    marked = [entry for entry in record.derive(marked_critical) if entry.source not in told]
    for row in (row for row in ABNORMAL_RESULTS.rows if row.marked_critical):
        results += filter(None, (_open_marked(row, record, entry) for entry in marked))
    return tuple(results)


def _was_sent(row: AbnormalResult, record: PatientRecord) -> bool:
    """Whether what is said to be missing could have come: medications that were not sent are none that is missing."""
    if _asks_for_drug(row) and not any(map(record.was_requested, ("MedicationRequest", "MedicationStatement"))):
        return False
    asks_for_test = row.tested_within_days is not None
    return not asks_for_test or all(map(record.was_requested, ("Procedure", "DiagnosticReport")))


def _asks_for_drug(row: AbnormalResult) -> bool:
    has_treatment = bool(row.settled_by_medications or row.settled_by_names)
    return bool(row.lacking) or (has_treatment and not (row.analytes or row.tests))


def _naming_unreadable(result: FollowUp, record: PatientRecord) -> FollowUp:
    """Return what lacks a drug with the entries of the medication list that could be this drug."""
    unreadable = unreadable_medications(record) if _asks_for_drug(result.row) else ()
    words = words_of_unreadable(unreadable)
    return replace(result, text=f"{result.text}; not clear on the medication list: {words}") if words else result


def _sources(result: FollowUp) -> set[str]:
    return {fact.source for fact in result.facts if fact.source}


def _together(results: Sequence[FollowUp]) -> FollowUp:
    """Return the first with what the others lack: in the headline where there is room for it, in the text always."""
    first = results[0]
    if len(results) == 1:
        return first
    lacking = ", ".join(f"no {result.row.lacking}" for result in results)
    subject = first.name.partition(f" no {first.row.lacking}")[0]
    name, texts = f"{subject} {lacking} on record", [result.text for result in results]
    if len(name) > _NAME_LENGTH:
        name = f"{subject} no {first.row.lacking} on record, and {len(results) - 1} more missing"
        texts.insert(0, f"{lacking} on record")
    return replace(first, name=name, text="; ".join(dict.fromkeys(texts)))


_NAME_LENGTH: Final = 85


def missing_at_home(
    record: PatientRecord, going_home: Sequence[MedicationIdentity]
) -> Iterator[tuple[AbnormalResult, ConditionHit]]:
    """Yield what a disease asks for and none of the medications that go home is, if nothing on record says why."""
    age = _years(record)
    for row in ABNORMAL_RESULTS.rows if record.was_requested("Condition") else ():
        disease = find_condition(record, *row.problems) if row.missing else None
        if disease is None or disease.doubt or not _is_within(disease.time, row.newest_days, record):
            continue
        is_taken = any(map(row.is_settled_by, going_home)) or not row.is_beside(going_home)
        if is_taken or row.is_excepted(disease.words) or _is_settled_by_state(row, record, None):
            continue
        if _is_for(row, age, record) and not any(done(record, name) for name in row.settled_by_tests):
            yield row, disease


def _open_marked(row: AbnormalResult, record: PatientRecord, entry: Done) -> FollowUp | None:
    """Return what the laboratory marks as critical and no other row tells; each is one of its own."""
    if entry.time is None or not 0 <= entry.time.whole_days(record.as_of_epoch) <= (row.newest_days or 0):
        return None
    name = f"{entry.test} {entry.words}".lower()
    usual = [group for words, groups in row.usual_with.items() if re.search(words, name) for group in groups]
    if find_condition(record, *usual) is not None and find_condition(record, *row.unusual_with) is None:
        return None
    finding = plain(entry.result, 60)
    return _open(row, record, entry.time, (_fact(entry),), finding=finding, test=plain(words_of(entry), 60))


def _rows_on_chart(record: PatientRecord) -> list[AbnormalResult]:
    """Return the rows of which the chart has an entry: a number, a test, a problem, or words under any name."""
    rows = {
        row
        for name in LIMITS.keys() & record.parts_by_analyte.keys()
        if (result := _newest(record, name, None)) is not None
        for row, limit in LIMITS[name]
        if limit.holds(result)
    }
    rows.update(*[ROWS_OF[key] for key in ROWS_OF.keys() & {*tests_on_chart(record), *charted_groups(record)}])
    if any(codes for _, _, codes in record.derive(_active_by_icd10)):
        rows.update(ROWS_OF[BY_CODE])
    if record.derive(_findings_under_other_names):
        rows.update(ROWS_OF[BY_ANY_ENTRY])
    if active_medications(record):
        rows.update(ROWS_OF[BY_MEDICATION])
    return [ABNORMAL_RESULTS.rows[row] for row in sorted(rows)]


def _is_within(time: FhirTime | None, days: float | None, record: PatientRecord) -> bool:
    return days in (None, inf) or (time is not None and time.whole_days(record.as_of_epoch) <= (days or 0))


def _years(record: PatientRecord) -> float | None:
    """Return the age in whole years, that of an infant in months of a year."""
    return record.age_years() or ((record.age_months() or 0) / 12 if record.age_years() == 0 else None)


def _is_for(row: AbnormalResult, age: float | None, record: PatientRecord) -> bool:
    has_ages = row.from_age is not None or row.to_age is not None
    if has_ages and (age is None or age < (row.from_age or 0) or (row.to_age is not None and age > row.to_age)):
        return False
    if row.sex is not None and record.sex not in (row.sex, None):
        return False
    if (
        row.beside_medications
        and not row.missing
        and not row.is_beside(one.identity for one in active_medications(record))
    ):
        return False
    hit = find_condition(record, *row.only_with) if row.only_with else None
    if hit is None:
        return not row.only_with or _result_beside(row, record) is not None
    if row.from_week:
        dated = gestation(record, hit.time, hit.source)
        return dated is not None and dated.weeks >= row.from_week
    hits = (find_condition(record, group) for group in row.only_with)
    return any(hit is not None and _is_within(hit.time, row.only_with_days, record) for hit in hits)


def _result_beside(row: AbnormalResult, record: PatientRecord) -> Measurement | None:
    """Return the result that shows what the row is `only_with`, where no problem says it."""
    if not (row.missing or row.lacking) or find_condition(record, *row.only_with) is not None:
        return None
    return next(filter(None, (shown_by_result(record, group) for group in row.only_with)), None)


# Numbers of an analyte


def _open_number(row: AbnormalResult, record: PatientRecord) -> FollowUp | None:
    abnormal = _abnormal(row.analytes, row, record)
    if not abnormal or len(_abnormal(row.beside, row, record)) < len(row.beside):
        return None
    newest = max(abnormal, key=lambda result: result.time.instant)
    if _is_settled_by_state(row, record, newest.time if row.settled_by_course else None):
        return None
    if newest.analyte.startswith("glucose") and _is_followed_by_normal_a1c(record, newest):
        return None
    if _is_settled_by_tests(row, record, newest.time, newest.source):
        return None
    limits = [edge for limit in row.analytes for edge in (limit.at_least, limit.over, limit.below)]
    taken = _taken_before(newest, row, record)
    if taken is None:
        return None
    values = dict.fromkeys(
        _value(record, result, limits)
        + (f" of {result.time.date}" if result.time.date != newest.time.date else "")  # the row's date is the newest's
        for result in sorted(abnormal, key=lambda result: result is not newest)
    )
    earlier = [value for limit in row.analytes if limit.fall and (value := _fallen_from(limit, newest, record))]
    before = ", ".join(f"{_value(record, value, ())} of {value.time.date}" for value in earlier)
    facts = (*_number_facts(record, newest), *map(measurement_fact, earlier))
    return _open(row, record, newest.time, facts, value=", ".join(values), taken=taken, before=before)


def _taken_before(result: Measurement, row: AbnormalResult, record: PatientRecord) -> str | None:
    """Return the medication that the row is about, "" if it is about none; None if none was ordered before the result.

    An order that is newer than the result is what followed it, and one of six weeks before it had not yet its effect,
    unless the row says for how long the medication has to be taken, with renewals.
    """
    if not row.only_taking:
        return ""
    taken, day = _taken(row, record), result.time.last_day
    acted_since = day if row.taking_days else day - _FULL_EFFECT
    if any(one.authored is not None and one.authored.last_day > acted_since for one in taken):
        return None
    first_day = day - timedelta(days=row.taking_days)
    long = [one for one in taken if not row.taking_days or _is_ordered_before(one, record, first_day)]
    is_changed = any(one.authored is not None and one not in long for one in taken)
    return None if is_changed or not long else first_few(list(dict.fromkeys(one.name for one in long)), 2)


def _taken(row: AbnormalResult, record: PatientRecord) -> list[ActiveMedication]:
    pattern = re.compile(row.only_taking or "(?!)", re.IGNORECASE)
    words = (
        (one, f"{one.name} {one.identity.words} {' '.join(one.identity.keys)}") for one in active_medications(record)
    )
    return [one for one, text in words if pattern.search(text)]


def _abnormal(thresholds: Iterable[Threshold], row: AbnormalResult, record: PatientRecord) -> list[Measurement]:
    """Return the newest values within the row's days that lie within these limits."""
    return [
        value
        for limit in thresholds
        if (value := _newest(record, limit.analyte, row.newest_days)) is not None and limit.holds(value)
        if limit.times == 1 or sum(map(limit.holds, record.measurements(limit.analyte))) >= limit.times
        if not limit.fall or _fallen_from(limit, value, record)
    ]


def _fallen_from(limit: Threshold, newest: Measurement, record: PatientRecord) -> Measurement | None:
    """Return the highest value of the half year before, if the newest is so much lower and no higher than the last."""
    earlier = [
        value
        for value in record.measurements(limit.analyte)
        if 0 < newest.time.instant - value.time.instant <= _HALF_A_YEAR
    ]
    if not earlier or earlier[0].value < newest.value:
        return None
    highest = max(earlier, key=lambda value: value.value)
    return highest if highest.value - newest.value >= limit.fall else None


def _newest(record: PatientRecord, analyte: str, days: int | None) -> Measurement | None:
    """Return the newest value, or the number of a newer result that says only on which side of it the value lies."""
    lookup = record.lookup(analyte, days)
    bound = newer_bound(record, analyte, days) if lookup.refused else None
    return bound or (lookup.measurement if isinstance(lookup, Found) else None)


def _is_followed_by_normal_a1c(record: PatientRecord, glucose: Measurement) -> bool:
    a1c = record.newest("hba1c")
    return a1c is not None and a1c.value < _A1C_DIABETES and a1c.time.instant >= glucose.time.instant


_A1C_DIABETES: Final = 6.5
_FULL_EFFECT: Final = timedelta(days=42)
"""TSH shows a new dose of levothyroxine after six weeks (ATA 2014)."""
_HALF_A_YEAR: Final = 183 * DAY_SECONDS
_PRESSURES: Final = frozenset({"sbp", "dbp"})
_SMALL: Final = 10
"""A TSH of 0.02 is not 0, and a hemoglobin of 6.96 not 7."""


def _value(record: PatientRecord, result: Measurement, limits: Iterable[float]) -> str:
    if result.analyte in _PRESSURES:
        pair = [record.newest("sbp"), record.newest("dbp")]
        return f"{'/'.join(f'{pressure.value:.0f}' for pressure in pair if pressure is not None)} mmHg"
    decimals = 2 if result.value < _SMALL and result.analyte != "hba1c" else 1
    number, side = format_number(result.value, limits, decimals), result.side or ""
    value = f"{side}{number} {unit(result.unit)}".rstrip()
    if not isclose(result.charted_value, result.value):
        value = f"{side}{result.charted_value:g} {unit(result.charted_unit)} ({value})"
    return f"{ANALYTES[result.analyte].words} {value}"


def _number_facts(record: PatientRecord, result: Measurement) -> tuple[Fact, ...]:
    pair = map(record.newest, ("sbp", "dbp")) if result.analyte in _PRESSURES else (result,)
    return tuple([measurement_fact(item) for item in pair if item is not None])


# Words of reports and results


def _open_words(row: AbnormalResult, record: PatientRecord) -> FollowUp | None:
    others = record.derive(_findings_under_other_names) if row.any_entry else ()
    dated = results_of(record, row.tests, others, incomplete=row.incomplete)
    undated = (entry for entry in others if entry.time is None and entry.source.startswith("Condition/"))
    for entry in (*dated, *undated):
        finding = row.finding_in(entry)
        if finding is None or not _is_within(entry.time, row.newest_days, record):
            continue
        if _is_settled(row, record, entry.time, entry.source):
            return None
        if any(_is_normal_after(row, later, entry.time) for later in dated):
            return None
        beside = row.beside_positive
        if beside and not (_says_positive(beside, entry) or _is_positive_since(beside, record, entry.time)):
            return None
        finding = _as_charted(entry, finding)
        return _open(row, record, entry.time, (_fact(entry),), finding=finding, test=words_of(entry))
    problem = _charted_problem(row, record) or _taken_long(row, record)
    if problem is None or _is_settled(row, record, problem.time, problem.source):
        return None
    words, facts = plain(problem.words, 60), [_fact(problem)]
    if (shown := _result_beside(row, record)) is not None:
        words += f" with {_value(record, shown, ())} of {shown.time.date}"
        facts.append(measurement_fact(shown))
    return _open(row, record, problem.time, tuple(facts), finding=words, test=words)


_ELSEWHERE: Final = re.compile(
    "|".join(dict.fromkeys(re.sub(r"\?P<\w+>", "?:", row.words) for row in ABNORMAL_RESULTS.rows if row.any_entry))
)


def _findings_under_other_names(record: PatientRecord) -> list[Done]:
    """Return the entries by any name that say what a row with `any_entry` looks for; most charts have none."""
    return other_entries(record, _tells_elsewhere)


# 85 real openings took 0.5 of 10.7 ms for it (sampled; most entries of a chart say what others have said).
@remembered("entries under other names", entries=4096, longest=400)
def _tells_elsewhere(words: str, result: str) -> bool:
    """Whether an entry of these words says what a row with `any_entry` looks for."""
    entry = Done("", None, "", words, result=result)
    return any(map(_ELSEWHERE.search, (*entry.named_clauses, entry.whole)))


def _as_charted(entry: Done, finding: str) -> str:
    """Return the words of the finding in the letters of the report; a size, which is worked out, stays."""
    for text in (entry.result, entry.words):
        start = text.lower().find(finding.lower())
        if start >= 0 and len(text) == len(text.lower()):
            return text[start : start + len(finding)]
    return finding


def _says_positive(name: str, entry: Done) -> bool:
    """Whether the report of one test says another positive: "ASC-US, HPV positive"."""
    return any(name in clause and AFFIRMED.search(clause) is not None for clause in entry.clauses)


def _is_positive_since(name: str, record: PatientRecord, time: FhirTime | None) -> bool:
    first_day = time.last_day if time is not None else date.min
    return any(
        test.is_positive is True and test.day is not None and test.day >= first_day for test in done(record, name)
    )


def _fact(entry: Done) -> Fact:
    text = plain(f"{entry.words}: {entry.result}" if entry.result else entry.words, 160)
    return Fact(name=entry.test, text=text, effective=entry.time.text if entry.time else None, source=entry.source)


def _is_normal_after(row: AbnormalResult, later: Done, time: FhirTime | None) -> bool:
    """Whether a later result of its tests without any finding of this screening ends it; a measured size always does.

    Reports of another name may say what a row is about (`any_entry`), but say nothing of it where they do not.
    """
    if time is None or later.time is None or not later.result:
        return False
    if row.number_from is not None:
        return later.time.instant > time.instant and row.measures(later)
    if row.normal_after_days is None or later.test not in row.tests:
        return False
    if later.time.last_day < time.last_day + timedelta(days=max(row.normal_after_days, 1)):
        return False
    # A row without words that is not about a positive result is about a number or an operation: no finding of a report.
    same = (other for other in ABNORMAL_RESULTS.rows if other.screening == row.screening)
    return later.is_positive is not True and all(
        other.finding_in(later) is None for other in same if other.words or other.positive
    )


def _charted_problem(row: AbnormalResult, record: PatientRecord) -> Done | None:
    """Return the newest active problem of the row's groups, or whose ICD-10 code is one of the row's."""
    hit = find_condition(record, *row.problems) if row.problems else None
    if row.newest_days is not None:  # the code of a state after an operation says not when it was
        hit = dated(hit, record)
    if hit is not None and _is_within(hit.time, row.newest_days, record) and not row.is_excepted(hit.words):
        return Done(row.id, hit.time, hit.source, hit.words)
    if not row.icd10:
        return None
    problems = [
        Done(row.id, time, condition.source, concept.words)
        for condition, concept, codes in record.derive(_active_by_icd10)
        if any(code.replace(".", "").startswith(row.icd10) and not words_take_back(concept, code) for code in codes)
        and _is_within(time := condition_time(condition, record), row.newest_days, record)
    ]
    return max(problems, key=lambda problem: problem.time.instant if problem.time is not None else 0.0, default=None)


def _taken_long(row: AbnormalResult, record: PatientRecord) -> Done | None:
    """Return the medication that the row is about, where it is taken and was first ordered more than its days ago."""
    first_day = record.as_of.date() - timedelta(days=row.taking_days)
    taken = (one for one in _taken(row, record) if _is_ordered_before(one, record, first_day))
    return next((Done(row.id, one.authored, one.source, one.name) for one in taken), None)


def _is_ordered_before(medication: ActiveMedication, record: PatientRecord, day: date) -> bool:
    orders = (order for rxcui in medication.identity.rxcuis for order in orders_ever_taken(record, rxcui))
    return any(time.last_day < day for time in filter(None, map(written_at, orders)))


def _active_by_icd10(record: PatientRecord) -> list[tuple[Condition, CodeableConcept, list[str]]]:
    """Return the active problems, each with its concept and its codes of ICD-10."""
    return [
        (condition, concept, [coding.code for coding in concept.coding if code_system(coding.system) == "icd10"])
        for condition in record.facts(Condition)
        if (concept := condition.code) is not None and condition_status(condition, record.as_of_epoch) != "past"
    ]


# What settles a result


def _open(
    row: AbnormalResult, record: PatientRecord, time: FhirTime | None, facts: tuple[Fact, ...], **words: str
) -> FollowUp | None:
    if time is not None and time.whole_days(record.as_of_epoch) < row.from_days:
        return None
    days = "1 day" if row.within_days == 1 else f"{row.within_days} days"
    filled = {"value": "", "finding": "", "test": "", "taken": "", **words, "days": days, "lacking": row.lacking}
    is_lasting = row.of_problem or (row.newest_days is None and not row.analytes and (row.problems or row.only_taking))
    begun = record.as_of.date() if time is None or is_lasting else time.last_day
    due_by = begun + timedelta(days=row.within_days)
    title, needed = row.title.format(**filled), row.needed.format(**filled)
    return Recommendation(
        row, title, FOLLOW_UP, needed, facts, due_by, row.order, time.date if time is not None else "no date"
    )


def _is_settled(row: AbnormalResult, record: PatientRecord, time: FhirTime | None, source: str) -> bool:
    return _is_settled_by_state(row, record, time) or _is_settled_by_tests(row, record, time, source)


def _is_settled_by_state(row: AbnormalResult, record: PatientRecord, time: FhirTime | None) -> bool:
    for group in row.settled_by_conditions:
        hit = find_condition(record, group)
        is_older = hit and time and hit.time and hit.time.last_day < time.last_day
        if hit is not None and not (is_older and group in _OF_THIS_RESULT):
            return True
    if _abnormal(row.unless_results, row, record) or any(
        allergy_to_class(record, name) for name in row.settled_by_allergies
    ):
        return True
    if _is_shown_against(row, record):
        return True
    refused = re.compile(row.settled_by_refusal or "(?!)", re.IGNORECASE)
    may_be_refused = row.missing or row.settled_by_refusal
    if may_be_refused and declined_medicine(record, frozenset(row.settled_by_medications), refused):
        return True
    has_treatment = not row.missing and bool(row.settled_by_medications or row.settled_by_names)
    return has_treatment and _is_treated(row, record, time)


def _is_shown_against(row: AbnormalResult, record: PatientRecord) -> bool:
    """Whether a result of today shows what stands against the treatment that a disease asks for."""
    if not (row.problems or row.lacking):  # a result would settle itself
        return False
    has_weak_kidneys = row.unless_weak_kidneys and (low_egfr(record) or acute_rise(record) or kidney_failure(record))
    return bool(has_weak_kidneys) or any(shown_by_result(record, group) for group in row.settled_by_conditions)


def _is_treated(row: AbnormalResult, record: PatientRecord, time: FhirTime | None) -> bool:
    """Whether one of the row's medications is taken, or was ordered since the result and is over."""
    first_day = date.min
    if time is not None and row.not_before_days is not None:
        first_day = time.last_day - timedelta(days=row.not_before_days)
    if row.treated_within_days is not None:
        first_day = record.as_of.date() - timedelta(days=row.treated_within_days)
    taken = [
        medication.identity
        for medication in active_medications(record)
        if (medication.authored is None or medication.authored.last_day >= first_day)
        and not (
            row.needs_anticoagulation and order_treats(medication.identity, medication.dose, medication.order) is False
        )
    ]
    courses = _courses_since(record, time, first_day) if row.settled_by_course and time is not None else []
    return any(row.is_settled_by(identity) for identity in (*taken, *courses, *_shots_since(record, first_day)))


def _shots_since(record: PatientRecord, first_day: date) -> Iterator[MedicationIdentity]:
    """Yield the immunizations that were given: vaccines, and antibodies that are charted as such."""
    for shot in record.facts(Immunization):
        given = parse_time(shot.occurrenceDateTime)
        if shot.vaccineCode and shot.status in (None, "completed") and given and given.last_day >= first_day:
            yield identify_concept(shot.vaccineCode)


def _courses_since(record: PatientRecord, time: FhirTime, first_day: date) -> list[MedicationIdentity]:
    """Return what was given since, ordered since and is over, or ended since and was ordered from `first_day` on."""
    ended = ((course, first_day) for course in ended_medications(record, time.whole_days(record.as_of_epoch)))
    over = ((order, time.last_day) for order in orders_not_active(record) if order.order.status != "on-hold")
    refused = {entry.source for entry in declined_in_chart(record)}
    given = (pair for pair in (*ended, *over) if pair[0].source not in refused)
    courses = [one.identity for one, day in given if one.authored and one.authored.last_day >= day]
    for dose in record.facts(MedicationAdministration):
        at = written_at(dose)
        if dose.status == "completed" and at is not None and at.last_day >= time.last_day:
            courses.append(identify_product(dose, record.medications))
    return courses


def _is_settled_by_tests(row: AbnormalResult, record: PatientRecord, time: FhirTime | None, source: str) -> bool:
    """Whether a test was done on the day of the result or later, is ordered, or was declined by the patient since.

    `source` is the entry of the result itself, which follows nothing; another entry of the same study neither.
    """
    since = time.last_day if time is not None else record.as_of.date()
    asked_since = time.date if time is not None and not row.problems else ""
    if row.tested_within_days is not None:
        since = record.as_of.date() - timedelta(days=row.tested_within_days)
    for name in row.settled_by_tests:
        first_day = since + timedelta(days=1) if name in _SAME_STUDY else since
        followed = any(
            test.day is not None and test.day >= first_day and test.source != source for test in done(record, name)
        )
        refusal = declined(record, name)
        is_asked_for = not _asks_for_drug(
            row
        )  # what is done in place of a drug and was declined leaves the drug to give
        is_refused = is_asked_for and refusal is not None and (not refusal[1] or refusal[1] >= asked_since)
        if followed or is_refused or is_ordered(record, name) is not None:
            return True
    return False


_SAME_STUDY: Final = frozenset({"mammography", "lung_ct", "chest_ct", "aortic_ultrasound", "eye_exam"})
"""What a result is of: the procedure and the report of one study stand on one day."""
