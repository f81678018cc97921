"""Tests that are repeated or ordered twice: the last result, the least interval, and the day from which it is due."""

from collections.abc import Iterable
from datetime import UTC, datetime
from math import ceil
from operator import attrgetter
from typing import Any

from msgspec import Struct

from cards.extension import Fact
from cards.rules.conditions.condition import MEDICATION_LISTS, Condition, Truth, flag, needs
from cards.rules.engine.family import Fill, Placeholder, written
from cards.rules.families.orders.study import codes_of, study_of, study_words, worked_out_once
from cards.rules.language.rule import OrderChange
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from cards.text import format_number, unit
from fhir.mapping.studies import RETEST_INTERVALS, RetestInterval
from fhir.mapping.study_words import loinc_of_words
from fhir.record.datatypes import DAY_SECONDS, FhirTime, parse_time
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.resources import Observation, ServiceRequest
from fhir.terminology.analytes import ANALYTE_BY_LOINC, LOINC_OR_UNNAMED

OBSERVATIONS = needs("Observation")
"""What a condition needs that looks at results."""
ABNORMAL = frozenset({"H", "HH", "HU", "L", "LL", "LU", "A", "AA", "POS", "DET"})
"""Marks of a laboratory at a result that is not normal: codes of HL7 v3 ObservationInterpretation."""


class _Last(Struct, frozen=True):
    """The last result of a test, and the interval that holds for it."""

    interval: RetestInterval
    observation: Observation
    time: FhirTime

    @property
    def words(self) -> str:
        quantity = self.observation.valueQuantity
        if quantity is None or quantity.value is None:
            return "done"
        number = f"{quantity.comparator}{format_number(quantity.value, (0.0,))}"
        return f"{number} {unit(quantity.unit or quantity.code)}".strip()

    @property
    def due(self) -> str:
        """The first day (ISO) that begins after the interval."""
        days = ceil(self.time.instant / DAY_SECONDS + self.interval.days)
        return datetime.fromtimestamp(days * DAY_SECONDS, UTC).date().isoformat()


def _interval(context: RuleContext) -> RetestInterval | None:
    return next((RETEST_INTERVALS[loinc] for loinc in study_of(context).loincs if loinc in RETEST_INTERVALS), None)


def _ordered(context: RuleContext) -> str:
    """Return the code of the order that has an interval."""
    return next((loinc for loinc in study_of(context).loincs if loinc in RETEST_INTERVALS), "")


def _result_codes(observation: Observation) -> Iterable[str]:
    """Return the LOINC codes of a result; where it has none, that of the test which its words name."""
    codes = [entry.code for entry in observation.code.coding if entry.code and entry.system in LOINC_OR_UNNAMED]
    if codes:
        return codes
    return [loinc for text in observation.code.texts if (loinc := loinc_of_words(text)) is not None]


def _last(context: RuleContext) -> _Last | None:
    """Return the newest final result of the test or of a member of its panel, within its interval."""
    return worked_out_once(context, "last result", _find_last)


def _find_last(context: RuleContext) -> _Last | None:
    interval = _interval(context)
    if interval is None:
        return None
    record = context.session.record
    planned = parse_time(str(context.drafted.draft.resource.get("occurrenceDateTime") or ""))
    when = max(record.as_of_epoch, planned.instant if planned is not None else 0.0)
    ordered = _ordered(context)
    results: list[_Last] = []
    for observation in record.facts(Observation):
        spares = any(interval.spares(ordered, code) for code in _result_codes(observation))
        time = effective_time(observation) if spares and observation.status in USABLE_STATUS else None
        if time is not None and 0.0 <= (when - time.instant) / DAY_SECONDS < interval.days:
            results.append(_Last(interval, observation, time))
    return max(results, key=lambda result: result.time.instant, default=None)


def _is_abnormal(last: _Last) -> bool:
    """Whether the laboratory marked it, or it is outside the limits of its row, or may be ("<0.4")."""
    codes = {coding.code for concept in last.observation.interpretation for coding in concept.coding}
    if codes & ABNORMAL:
        return True
    quantity, interval = last.observation.valueQuantity, last.interval
    if quantity is None or quantity.value is None:
        return False
    if interval.units and not {quantity.unit, quantity.code} & interval.units:
        return False
    low, high = interval.normal_low, interval.normal_high
    may_be_below = low is not None and (quantity.value < low or quantity.comparator in ("<", "<="))
    may_be_above = high is not None and (quantity.value > high or quantity.comparator in (">", ">="))
    return may_be_below or may_be_above


def _repeated(context: RuleContext) -> Truth:
    last = _last(context)
    if last is None or _is_abnormal(last):
        return False
    # A value in an unknown unit is not a result that a repeat could be spared for.
    codes = {coding.code for coding in last.observation.code.coding}
    analytes = {ANALYTE_BY_LOINC[code].key for code in codes if code in ANALYTE_BY_LOINC}
    return not analytes or any(context.session.record.newest(key) is not None for key in analytes)


def _repeat_facts(context: RuleContext) -> list[Fact]:
    last = _last(context)
    if last is None:
        return []
    source = f"Observation/{last.observation.id}" if last.observation.id else None
    return [
        Fact("last_result", f"{last.interval.name} {last.words}", last.words, effective=last.time.text, source=source)
    ]


def _treatment_changed(context: RuleContext) -> Truth:
    """Whether a medication is drafted in this session, or one was ordered since the last result."""
    if context.session.drafted:
        return True
    last = _last(context)
    if last is None:
        return False
    ordered = (parse_time(medication.since) for medication in context.session.active if medication.since)
    return any(time is not None and time.instant > last.time.instant for time in ordered)


def _is_series(context: RuleContext) -> Truth:
    """Whether the order itself says that the test is done several times."""
    return isinstance(context.drafted.draft.resource.get("occurrenceTiming"), dict)


def _ordered_twice(context: RuleContext) -> Truth:
    """Whether an earlier draft of the session, or an order of the same day, is of the same test."""
    interval, session = _interval(context), context.session
    drafted, ordered = context.drafted.draft, _ordered(context)

    def repeats(codes: Iterable[str]) -> bool:
        if interval is None:
            return not frozenset(study_of(context).loincs).isdisjoint(codes)
        return any(interval.repeats(ordered, code) for code in codes)

    earlier = [study for study in session.studies if study.draft.position < drafted.position]
    same_day = [study for study in earlier if _day(study.draft.resource, session) == _day(drafted.resource, session)]
    if any(repeats(study.study.loincs) for study in same_day):
        return True
    return any(
        _is_same_day(service_request, session) and repeats(_codes_of(service_request))
        for service_request in session.record.facts(ServiceRequest)
    )


def _day(resource: dict[str, Any], session: PatientSession) -> str:
    """Return the day for which a draft is: "" for today, which is also what an occurrence that is not said means."""
    time_text = str(resource.get("occurrenceDateTime") or "")
    return "" if time_text[:10] == _today(time_text, session) else time_text[:10]


def _is_same_day(request: ServiceRequest, session: PatientSession) -> bool:
    time_text = request.occurrenceDateTime or request.authoredOn or ""
    drafted = any(draft.reference == f"ServiceRequest/{request.id}" for draft in session.drafts)
    is_ordered = request.status == "active" and request.doNotPerform is not True and not request.is_only_proposed
    return is_ordered and not drafted and time_text[:10] == _today(time_text, session)


def _today(time_text: str, session: PatientSession) -> str:
    """Return the day of this call in the time zone of a time: at 8 in the evening in Honolulu it is tomorrow in UTC."""
    as_of = session.record.as_of
    try:
        zone = datetime.fromisoformat(time_text).tzinfo
    except ValueError:
        zone = None
    return as_of.astimezone(zone or UTC).date().isoformat()


def _codes_of(request: ServiceRequest) -> set[str]:
    if request.code is None:
        return set()
    codes = set(codes_of(request.code))
    loinc = loinc_of_words(request.code.words) if codes.isdisjoint(RETEST_INTERVALS) else None
    return codes if loinc is None else {*codes, loinc}


def later(context: RuleContext) -> OrderChange | None:
    """Return the same order for the first day after the least interval."""
    last = _last(context)
    return OrderChange(occurrence=last.due, label=f"Do it on {last.due} instead") if last is not None else None


# Texts


def _test_words(context: RuleContext) -> str:
    """What the test is called; a member of a row of different tests by its own words."""
    interval = _interval(context)
    is_one_of_several = interval is not None and interval.apart == "always" and _ordered(context) not in interval.panels
    return interval.name if interval is not None and not is_one_of_several else study_words(context)


def _interval_words(interval: RetestInterval) -> str:
    """Return the least interval: half a day is 12 hours."""
    if interval.days % 1:
        return f"{interval.days * 24:g} hours"
    return f"{interval.days:g} day{'' if interval.days == 1 else 's'}"


PLACEHOLDERS: dict[str, Placeholder[Fill]] = {
    "test": Placeholder(_test_words, "Urea, creatinine and electrolytes"),
    "last": Placeholder(written(_last, attrgetter("words")), "123.5 mmol/L"),
    "last_date": Placeholder(written(_last, lambda last: last.time.text[:10]), "2026-11-20"),
    "due_date": Placeholder(written(_last, attrgetter("due")), "2026-11-20"),
    "interval": Placeholder(written(_interval, _interval_words), "1.5 days"),
    "interval_source": Placeholder(
        written(_interval, attrgetter("source")), "Leeds Teaching Hospitals NHS Trust, retesting guidance"
    ),
}
WORDS: tuple[Condition, ...] = (
    flag(
        "repeated_early",
        _repeated,
        "a normal final result of the test, or of a member of its panel, is younger than its least interval",
        frozenset({"last_result"}),
        _repeat_facts,
        OBSERVATIONS,
    ),
    flag(
        "ordered_twice",
        _ordered_twice,
        "an earlier draft, or an active order of the same day, is of the same test",
        needs=needs("ServiceRequest"),
    ),
    flag(
        "treatment_changed",
        _treatment_changed,
        "a medication is drafted in the same session or was ordered since the last result",
        needs=MEDICATION_LISTS | OBSERVATIONS,
    ),
    flag("ordered_as_series", _is_series, "the order says itself that the test is done several times"),
)
