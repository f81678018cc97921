"""Whom an advisor says nothing about: rows with a code and a text, asked once before it judges a call.

Below them is what the chart says was done, is planned or was declined, and which problems decide the outlook.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from msgspec import Struct

from cards.text import plain
from fhir.mapping.conditions import ConditionHit, condition_hit, find_condition
from fhir.mapping.declined import declined_in_chart
from fhir.mapping.medications.active import presence_of
from fhir.mapping.stays import current_stay, is_inpatient, is_left_open
from fhir.record.datatypes import DAY_SECONDS, CodeableConcept, FhirTime, parse_time
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.record.resources import Condition, Encounter, Procedure, ServiceRequest
from fhir.terminology.assertions import states
from fhir.terminology.caching import remembered
from fhir.terminology.phrases import groups_in_words
from models_onnx.serving.eligibility import OUTSIDE_POPULATION, not_in_population
from models_onnx.serving.runtime import Model

A_YEAR_DAYS: Final = 365


class Exclusion(Struct, frozen=True):
    """One reason to say nothing; it holds where `find` returns neither None nor False.

    What it returns is `{found}` in the sentence `text`, or the reason itself.
    """

    code: str
    text: str
    find: Callable[[PatientRecord], object]


def first_reason(exclusions: Iterable[Exclusion], subject: str, record: PatientRecord) -> WhyNot | None:
    """Return the first reason against this patient, about a model, an equation or an advisor; None for no reason."""
    for exclusion in exclusions:
        found = exclusion.find(record)
        if found is not None and found is not False:
            text = exclusion.text.format(found=found)
            return found if isinstance(found, WhyNot) else WhyNot(subject, exclusion.code, text)
    return None


def on_record(code: str, text: str, *groups: str) -> Exclusion:
    """Return the row of patients with a problem of one of these groups, which is `{found}`."""
    return Exclusion(code, text, lambda record: find_condition(record, *groups))


def named(code: str, text: str, words: tuple[str, ...], days: float = A_YEAR_DAYS, **more: Any) -> Exclusion:
    """Return the row of patients of whose last days an order, procedure or visit names one of these words."""
    return Exclusion(code, text, partial(find_named_in_chart, words=words, within_days=days, **more))


def talk_planned(*talks: str) -> Exclusion:
    """Return the row of patients for whom a talk was ordered within a year, in the words of our own draft."""
    return named("already-done", "The talk is planned or was held ({found}).", tuple(talk.lower() for talk in talks))


def not_known(resource: str, text: str) -> Exclusion:
    """Return the row of patients of whom nothing of this resource type was asked for."""
    return Exclusion("input-missing", text, lambda record: not record.was_requested(resource))


def not_known_whether_taken(drug: str, drug_class: str) -> Exclusion:
    """Return the row of patients of whom it is not known whether a drug of this class is active."""

    def find(record: PatientRecord) -> str | None:
        presence = presence_of(record, frozenset({drug_class}))
        is_known = presence.state != "unreadable" and record.was_requested("MedicationRequest")
        if presence.medications or is_known:
            return None
        words = presence.unreadable_words
        return f" (not clear on the medication list: {words})" if words else ""

    text = f"It is not known whether {drug} is active{{found}}: no talk is suggested."
    return Exclusion("input-missing", text, find)


def medication_active(text: str, *keys: str) -> Exclusion:
    """Return the row of patients who take one of these ingredients or classes."""
    return Exclusion("already-done", text, lambda record: bool(presence_of(record, frozenset(keys)).medications))


def declined(words: tuple[str, ...]) -> Exclusion:
    """Return the row of patients who declined within a year what these words name."""
    find = partial(find_declined, words=words)
    return Exclusion("declined", "Declined by the patient within a year ({found}).", find)


def find_declined(record: PatientRecord, words: tuple[str, ...], since: FhirTime | None = None) -> str | None:
    """Return where the patient declined within a year, and after `since`, what these words name."""
    for entry in declined_in_chart(record):
        is_late = since is None or (entry.time is not None and entry.time.is_later_than(since))
        text = words_of_concept(entry.concept).lower()
        if is_late and any(word in text for word in words):
            return entry.source
    return None


def of_population(model: Model) -> Exclusion:
    """Return the row of patients whom a model is not for: by their age, or by a condition that it leaves out.

    The manifest is read with the first chart: a model that cannot be served has none, and stops only its advisor.
    """

    def find(record: PatientRecord) -> WhyNot | None:
        manifest = model.manifest
        why = not_in_population(manifest, record.age_years())
        if why is not None:
            return WhyNot(manifest.id, why.reason, why.text)
        keys = (key for key in manifest.population.exclude_conditions if find_condition(record, key))
        text = f"The model is for {manifest.population.words}; {{}} is on record."
        return next((WhyNot(manifest.id, OUTSIDE_POPULATION, text.format(key)) for key in keys), None)

    return Exclusion(OUTSIDE_POPULATION, "{found}", find)


DECEASED: Final = Exclusion("deceased", "The patient has died.", lambda record: record.deceased)
OPTED_OUT: Final = Exclusion(
    "opted-out",
    "The patient has opted out of estimates and reminders ({found}).",
    lambda record: record.opted_out or None,
)
"""Nobody opts out of advice on a danger. What a patient denies is the purpose TREATDS; what keeps care safe is another
one, PATSFTY (fhir/record/opting_out.py)."""
PALLIATIVE: Final = on_record(
    "palliative", "Palliative care is on record ({found.source}): no advice is given.", "palliative_or_hospice"
)
IN_HOSPITAL: Final = Exclusion(
    "outside-population", "The patient is in hospital now; this advice is for people at home.", is_inpatient
)
NO_ESTIMATE: Final = (DECEASED, OPTED_OUT, PALLIATIVE)
NOT_AT_HOME: Final = (*NO_ESTIMATE, IN_HOSPITAL)
NO_ESTIMATE_OF_STAY: Final = (
    *NO_ESTIMATE,
    Exclusion(
        "outside-population",
        "No current hospital stay is on record.",
        lambda record: current_stay(record) is None,
    ),
)


LIMITED_OUTLOOK = ("cancer_metastatic", "cancer_of_blood", "dementia_severe")
"""Condition groups that decide the outlook more than any result: metastatic cancer, cancer of the blood, severe
dementia."""
# In words, which no code of the tables says.
_SHORT_LIFE = re.compile(
    r"\b(?:limited|short|reduced) life[- ]expectancy|\b(?:life[- ]expectancy|prognosis) (?:is )?(?:limited|short"
    r"|(?:of )?(?:less than|under|below|<) ?(?:\d+|one|two|three|six|twelve) (?:weeks?|months?|years?))",
    re.IGNORECASE,
)
# FHIR R4 request-status and event-status: neither asked for nor done; done or under way.
_NOT_ASKED_FOR = frozenset({"revoked", "cancelled", "entered-in-error", "unknown", "not-done", "draft", "stopped"})
_DONE = frozenset({"completed", "in-progress"})
# FHIR R4 and R5 encounter-status.
_VISIT_OVER = frozenset({"finished", "completed"})
_VISIT_GOES_ON = frozenset({"arrived", "triaged", "in-progress"})


SHORT_OUTLOOK = ("cancer_metastatic", "dementia_severe")
"""Those of them that make prevention pointless: many people live with a cancer of the blood for decades."""


def limited_outlook(record: PatientRecord, groups: tuple[str, ...] = LIMITED_OUTLOOK) -> str | None:
    """Return the words of the problem that decides the outlook; None where the record has none."""
    hit = find_condition(record, *groups)
    if hit is not None:
        return plain(hit.words, 60)
    problems = record.derive(_named_by_problems)
    return next((plain(hit.words, 60) for hit, its_groups in problems if not its_groups.isdisjoint(groups)), None)


def named_by_problem(record: PatientRecord, group: str) -> ConditionHit | None:
    """Return the confirmed problem whose words name a group that its code leaves open; None where there is none."""
    problems = record.derive(_named_by_problems)
    hits = (
        hit
        for hit, its_groups in problems
        if group in its_groups and not hit.doubt and not states(_SHORT_LIFE, hit.words)
    )
    return next(hits, None)


def _named_by_problems(record: PatientRecord) -> list[tuple[ConditionHit, set[str]]]:
    """Return the active problems with the groups that their words name of the patient.

    Words of a short life stand for every limited outlook: they stand beside a code that names only the organ.
    """
    problems = []
    for condition in record.facts(Condition):
        hit = condition_hit("", condition, "", record)
        if hit.words and hit.status != "past":
            groups_named = {mention.group for mention in groups_in_words(hit.words) if mention.assertion.is_of_patient}
            if states(_SHORT_LIFE, hit.words):
                groups_named.update(LIMITED_OUTLOOK)
            problems.append((hit, groups_named))
    return problems


def find_named_in_chart(
    record: PatientRecord,
    words: tuple[str, ...],
    within_days: float,
    *,
    not_with: re.Pattern[str] | None = None,
    only_done: bool = False,
    until_days: float | None = None,
) -> str | None:
    """Return the order, procedure or visit of the last days whose words hold one of these; its Type/id, else None.

    A visit that is planned counts however far ahead it is. Words that `not_with` finds something in are of something
    else. `only_done`: no order and no visit, but a procedure that was performed. `until_days`: what is planned for
    later than so many days ahead does not count.
    """
    for event, source, time in _events_naming(record, words, not_with):
        is_later = until_days is not None and _is_planned_after(event, until_days, record)
        if is_later or (only_done and not _is_done(event)):
            continue
        if time is None or (_is_ahead(time, record) and _is_planned(event)):
            return source
        if not _is_ahead(time, record) and time.whole_days(record.as_of_epoch) <= within_days:
            return source
    return None


def find_named_since(record: PatientRecord, words: tuple[str, ...], moment: FhirTime) -> str | None:
    """Return the order, procedure or visit of the last year after a moment whose words hold one of these; else None.

    A visit that is planned, goes on or was cancelled does not count: nobody has seen the patient. Of the same day only
    what has a later time counts: a visit in which blood was drawn came before its result.
    """
    for event, source, time in _events_naming(record, words):
        if time is None or _is_ahead(time, record) or (isinstance(event, Encounter) and not _is_over(event, record)):
            continue
        if time.is_later_than(moment) and time.whole_days(record.as_of_epoch) <= A_YEAR_DAYS:
            return source
    return None


def _events_naming(
    record: PatientRecord, words: tuple[str, ...], not_with: re.Pattern[str] | None = None
) -> Iterator[tuple[ServiceRequest | Procedure | Encounter, str, FhirTime | None]]:
    """Yield what of the chart names one of the words, its Type/id and its time."""
    charted = record.derive(_chart_events)
    naming = {line for line in charted.distinct_lines if names_one_of((line, words))}
    if not_with is not None:
        naming = {line for line in naming if not_with.search(line) is None}
    for event, line in zip(charted.events, charted.lines, strict=True) if naming else ():
        if line in naming:
            source, when = _source_and_time(event)
            yield event, source, parse_time(when)


def _is_ahead(time: FhirTime, record: PatientRecord) -> bool:
    return time.is_after(record.as_of_epoch)


def _is_planned_after(event: ServiceRequest | Procedure | Encounter, days: float, record: PatientRecord) -> bool:
    when = event.occurrenceDateTime if isinstance(event, ServiceRequest) else _source_and_time(event)[1]
    time = parse_time(when)
    return time is not None and time.instant - record.as_of_epoch > days * DAY_SECONDS


def _is_planned(event: ServiceRequest | Procedure | Encounter) -> bool:
    return event.status == "planned"  # FHIR R4 has this status for visits alone


def _is_over(visit: Encounter, record: PatientRecord) -> bool:
    if visit.status in _VISIT_OVER:
        return True
    return visit.status in _VISIT_GOES_ON and is_left_open(visit, record.as_of_epoch)


def _is_done(event: ServiceRequest | Procedure | Encounter) -> bool:
    return isinstance(event, Procedure) and event.status in _DONE


# "No follow-up needed", "palliative care declined": the words name it and say that it is not.
_NOT_WANTED = re.compile(r"\b(?:no|not|without|declin\w+|refus\w+)\b[^.;,:]*$")
_NOT_TO_BE = re.compile(r"[^.;,:|]*?\b(?:declined|refused|cancell?ed|not (?:needed|required|indicated|wanted|done))\b")


@remembered("words of things done", entries=4096, longest=1500)
def names_one_of(line_and_words: tuple[str, tuple[str, ...]]) -> bool:
    """Whether a line holds one of the words, and does not say that it is not wanted."""
    line, words = line_and_words
    text = line.replace("\n", " ").lower()
    places = ((text.find(word), len(word)) for word in words if word in text)
    return any(
        _NOT_WANTED.search(text[:position]) is None and _NOT_TO_BE.match(text[position + length :]) is None
        for position, length in places
    )


class _ChartEvents(Struct, frozen=True):
    """Orders, procedures and visits, the words of each, and the different words: visits of a kind have the same."""

    events: list[ServiceRequest | Procedure | Encounter]
    lines: list[str]
    distinct_lines: dict[str, None]


def _chart_events(record: PatientRecord) -> _ChartEvents:
    events: list[ServiceRequest | Procedure | Encounter] = []
    lines: list[str] = []
    for request in record.facts(ServiceRequest):
        if request.status in _NOT_ASKED_FOR or request.is_only_proposed:
            continue
        concepts = [concept for concept in (request.code, request.performerType) if concept is not None]
        if request.doNotPerform is not True:
            events.append(request)
            lines.append("".join(map(words_of_concept, concepts)))
    for procedure in record.facts(Procedure):
        if procedure.status not in _NOT_ASKED_FOR and procedure.code is not None:
            events.append(procedure)
            lines.append(words_of_concept(procedure.code))
    for encounter in record.facts(Encounter):
        for kind in encounter.type if encounter.serviceType is None else (*encounter.type, encounter.serviceType):
            events.append(encounter)
            lines.append(words_of_concept(kind))
        for location in encounter.location:
            if location.location is not None and location.location.display:
                events.append(encounter)
                lines.append(f" {location.location.display}")
    return _ChartEvents(events, lines, dict.fromkeys(lines))


def _source_and_time(event: ServiceRequest | Procedure | Encounter) -> tuple[str, str | None]:
    """Its Type/id, and when it was ordered, performed or begun."""
    if isinstance(event, ServiceRequest):
        return f"ServiceRequest/{event.id}", event.authoredOn
    if isinstance(event, Procedure):
        period = event.performedPeriod
        return f"Procedure/{event.id}", event.performedDateTime or (period.start if period is not None else None)
    return f"Encounter/{event.id}", event.period.start if event.period is not None else None


def words_of_concept(concept: CodeableConcept) -> str:
    """Return the text and every display, each followed by its code as `system|code`."""
    words = f" {concept.text}"
    for coding in concept.coding:
        words += f" {coding.display} {coding.system or ''}|{coding.code} "
    return words
