"""What a person needs today: the vaccines due, those to discuss, those forbidden, and what could not be judged.

Vaccine groups that are ordered already and still to be given are known too, so that no dose is suggested twice.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import date, timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from cards.vaccines.evidence import DeclinedVaccine
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.groups import LABELS, TETANUS_GROUP, GroupForecast, assess
from cards.vaccines.knowledge import Contraindication, Period, VaccineKnowledge, parse_period
from cards.vaccines.patient import (
    DATE_OF_TRANSPLANT,
    HIV,
    HIV_SEVERE,
    ONSET_OF_PREGNANCY,
    PREGNANT,
    ChartedPerson,
    PatientObservation,
    Person,
)
from fhir.mapping.declined import is_open_order
from fhir.mapping.immunizations import DoseToCheck
from fhir.record.datatypes import CodeableConcept
from fhir.record.record import PatientRecord
from fhir.record.resources import MedicationRequest, ServiceRequest
from fhir.terminology.assertions import is_of_patient
from fhir.terminology.medications import CVX
from fhir.terminology.package_tables import package_rows

# CDC, supporting data, tetanus and diphtheria: the booster is ten years after the last dose.
_TETANUS_BOOSTER: Final = Period(years=10)
_OF_SEASONS: Final = frozenset({"Influenza", "COVID-19"})
_PREGNANCY: Final = timedelta(days=280)
# What does not complete its group: live zoster vaccine (MMWR 2018;67:103), polysaccharide vaccine (MMWR 2022;71:109).
_SUPERSEDED: Final = re.compile(r"zostavax|\bzvl\b|pneumovax|\bppv ?23|\bppsv|polysac", re.IGNORECASE)
_RECOMBINANT_ZOSTER: Final = date(2017, 10, 20)  # licensed by the FDA


def ordered_groups(record: PatientRecord, knowledge: VaccineKnowledge) -> frozenset[str]:
    """Return the vaccine groups of open orders of the last 90 days, by CVX code or by the words of our own drafts."""
    groups = knowledge.schedule.groups
    groups_ordered: set[str] = set()
    for concept in _open_orders(record):
        antigens = {
            part.antigen
            for coding in concept.coding
            if coding.system == CVX and coding.code in knowledge.schedule.vaccines
            for part in knowledge.schedule.vaccines[coding.code].antigens
        }
        groups_ordered |= {name for name, group in groups.items() if antigens & set(group.antigens)}
        groups_ordered |= {name for name in groups if _orders_vaccine(concept.words, _labels(name))}
    return frozenset(groups_ordered)


def _orders_vaccine(words: str, labels: Iterable[str]) -> bool:
    """Whether the words order a vaccine of these names: "Zoster vaccine", "Administer zoster vaccine, dose 2"."""
    text = words.casefold()
    if "vaccin" not in text and "immuni" not in text:
        return False
    matches = (re.search(rf"\b{re.escape(label.casefold())}\b", text) for label in labels if label.casefold() in text)
    return any(match is not None and is_of_patient(words, match.start(), names_vaccines=True) for match in matches)


def _open_orders(record: PatientRecord) -> Iterator[CodeableConcept]:
    requests: tuple[ServiceRequest | MedicationRequest, ...]
    requests = (*record.facts(ServiceRequest), *record.facts(MedicationRequest))
    for request in requests:
        concept = request.code if isinstance(request, ServiceRequest) else request.medicationCodeableConcept
        if concept is not None and is_open_order(request, record):
            yield concept


# CDC names in some series that they are a matter of shared decision; for others ACIP says it by age
# (data/shared_decisions.csv).
_SHARED_DECISION = "shared clinical decision"
# A release that begins a season without an end (COVID-19) is of that year.
ADULT = Period(years=19)
_A_YEAR = Period(years=1)
_TDAP_WEEK: Final = 27
# CDC, General Best Practices for Immunization 2023, altered immunocompetence: after a transplant of stem cells vaccine
# against influenza is given from 4 months on, the vaccines of childhood from 6.
_AFTER_TRANSPLANT, _INFLUENZA_AFTER_TRANSPLANT = Period(months=6), Period(months=4)
_HIV_NOT_SEVERE = "155"

NONE_DECLINED: Final[Mapping[str, DeclinedVaccine]] = {}


class ForbiddenVaccine(Struct, frozen=True):
    """A vaccine group that the person would need, with the observations that forbid it."""

    group: str
    against: tuple[PatientObservation, ...]


class UncodedVaccine(Struct, frozen=True):
    """A vaccine group that is not offered, because of doses that name it without a code or a day."""

    group: str
    label: str
    doses: tuple[DoseToCheck, ...]


class VaccineToCheck(Struct, frozen=True):
    """What may forbid vaccines that are due: the observation, CDC's words, and the groups that it is about."""

    observation: PatientObservation
    text: str
    groups: tuple[str, ...]
    is_whole: bool
    """Whether it may forbid every vaccine of these groups, not one of several alone."""


class VaccinesDue(Struct, frozen=True):
    """The answer for one person on one day; `to_check` holds what may forbid a vaccine that is due.

    `seasons_over` are the groups of which the release knows no dose of this season, and the last day that it covers;
    `of_season` are those of them that are given now every year and of which no dose since then is on record.
    `declined` are groups that are due and that the patient declined within a year.
    """

    as_of: date
    due: tuple[GroupForecast, ...]
    catch_up: tuple[GroupForecast, ...]
    ordered: tuple[str, ...]
    to_discuss: tuple[GroupForecast, ...]
    forbidden: tuple[ForbiddenVaccine, ...]
    to_check: tuple[VaccineToCheck, ...]
    seasons_over: tuple[tuple[str, date], ...]
    not_judged: tuple[str, ...]
    forecasts: tuple[GroupForecast, ...]
    declined: tuple[DeclinedVaccine, ...] = ()
    of_season: tuple[tuple[str, date], ...] = ()
    tetanus_waits: bool = False
    """Whether a dose against tetanus waits for the weeks of a pregnancy in which Tdap is given."""
    uncoded: tuple[UncodedVaccine, ...] = ()

    @property
    def groups_to_check(self) -> frozenset[str]:
        """The vaccine groups that are not given before something on record was checked."""
        return frozenset(group for check in self.to_check if check.is_whole for group in check.groups)


def vaccines_due(
    charted: ChartedPerson,
    as_of: date,
    knowledge: VaccineKnowledge,
    ordered: frozenset[str] = frozenset(),
    declined: Mapping[str, DeclinedVaccine] = NONE_DECLINED,
) -> VaccinesDue:
    """Evaluate and forecast every vaccine group, and sort the answers; `ordered` are groups with an open order.

    `declined` are groups that the patient declined within a year: they are named and not due.

    What soon cannot be given any more comes first; then for a child the longest due, for an adult what came due last.
    What an adult should have had as a child
    and has no dose of stands apart: first the immunization registry is asked.
    """
    forecasts = assess(charted.person, as_of, knowledge)
    needed_by_group: dict[str, GroupForecast] = {}
    discuss: dict[str, GroupForecast] = {}
    not_judged: list[str] = []
    seasons: dict[str, date] = {}
    for forecast in sorted(forecasts, key=lambda item: item.series_type != "Risk"):
        if (season := _season_before(forecast)) is not None:
            seasons.setdefault(forecast.group, season)
        elif (reason := _why_not_judged(forecast, knowledge)) is not None:
            not_judged.append(reason)
        elif forecast.recommended is not None and forecast.recommended <= as_of:
            into = discuss if _is_shared_decision(forecast) else needed_by_group
            into.setdefault(forecast.group, forecast)
    is_adult = not charted.person.within_ages(as_of, None, ADULT)
    needed = sorted(needed_by_group.values(), key=lambda item: item.recommended or date.max, reverse=is_adult)
    needed.sort(key=lambda item: item.last_day or date.max)
    open_ones = [item for item in needed if item.group not in ordered and item.group not in declined]
    waiting = [item for item in open_ones if _waits_in_pregnancy(item)]
    now_in_season = list(_of_season(seasons, charted, as_of, knowledge, ordered | declined.keys()))
    uncoded = dict[str, UncodedVaccine]()
    if charted.history.to_check:
        uncoded = {
            item.group: UncodedVaccine(item.group, item.label, tuple(doses))
            for item in open_ones
            if (doses := _may_be_given(item, charted, knowledge))
        }
        uncoded |= {
            group: UncodedVaccine(group, group, tuple(doses))
            for group, end in now_in_season
            if (doses := _uncoded_doses(group, end if group != RSV else None, charted, knowledge))
        }
    open_ones = [item for item in open_ones if item not in waiting and item.group not in uncoded]
    catch_up = [item for item in open_ones if is_adult and _is_catch_up(item)]
    if catch_up and (transplant := charted.person.observed(DATE_OF_TRANSPLANT)) is not None:
        again = _AFTER_TRANSPLANT.after(transplant)
        if as_of < again:
            labels = ", ".join(item.label for item in catch_up)
            not_judged.append(f"{labels}: from {again} on, 6 months after the stem cell transplant (CDC)")
            open_ones, catch_up = [item for item in open_ones if item not in catch_up], []
    of_season = tuple([(group, end) for group, end in now_in_season if group not in uncoded])
    # What forbids one vaccine of several (live influenza vaccine) is asked where a dose of the schedule is due only.
    groups_named = dict.fromkeys((*discuss, *(group for group, _ in of_season)), False)
    to_check = _to_check(groups_named | dict.fromkeys(needed_by_group, True), charted, knowledge)
    held = {group for check in to_check if check.is_whole for group in check.groups}
    return VaccinesDue(
        as_of,
        tuple(item for item in open_ones if item not in catch_up),
        tuple(catch_up),
        tuple(item.group for item in needed if item.group in ordered),
        tuple(item for name, item in discuss.items() if name not in needed_by_group and name not in held),
        _forbidden(forecasts, charted),
        to_check,
        tuple(
            item
            for item in seasons.items()
            if item[0] not in {*declined, *uncoded} and not _was_given_since(*item, charted, knowledge)
        ),
        tuple(dict.fromkeys(not_judged)),
        tuple(forecasts),
        tuple(declined[name] for name in (*needed_by_group, *seasons) if name in declined),
        of_season,
        bool(waiting),
        tuple(uncoded.values()),
    )


# ACIP, influenza (MMWR Recomm Rep 2024;73(5)): everybody from 6 months every season, from September on as long as the
# viruses circulate. RSV in pregnancy (MMWR 2023;72:1115): September to January, at 32 to 36 weeks and 6 days.
INFLUENZA: Final = "Influenza"
RSV: Final = "RSV"
_INFLUENZA_MONTHS: Final = frozenset({9, 10, 11, 12, 1, 2, 3})
_RSV_MONTHS: Final = frozenset({9, 10, 11, 12, 1})
_INFLUENZA_FROM: Final = Period(months=6)
_RSV_WEEKS: Final = (32, 37)
# RSV antibody (MMWR 2023;72:920): under 8 months, October to March, unless the mother was vaccinated in the pregnancy.
_RSV_ANTIBODY_MONTHS: Final = frozenset({10, 11, 12, 1, 2, 3})
_RSV_ANTIBODY_BEFORE: Final = Period(months=8)
_MOTHER_VACCINATED: Final = "278"


def _of_season(
    seasons: Mapping[str, date],
    charted: ChartedPerson,
    as_of: date,
    knowledge: VaccineKnowledge,
    settled: Set[str],
) -> Iterator[tuple[str, date]]:
    """Yield the vaccines of this season that the release is too old for, with the last day that it covers.

    Influenza is given each season; the one against RSV is a one-time dose (MMWR 2023;72:1115).
    """
    for group, end in seasons.items():
        was_given = _was_given_since(group, end, charted, knowledge)
        if group not in settled and not was_given and _is_for_season(group, charted.person, as_of):
            yield group, end


def _was_given_since(group: str, end: date, charted: ChartedPerson, knowledge: VaccineKnowledge) -> bool:
    antigens = set(knowledge.schedule.groups[group].antigens)
    return any(
        (dose.given > end or group == RSV) and antigens & {part.antigen for part in vaccine.antigens}
        for dose in charted.person.doses
        if (vaccine := knowledge.schedule.vaccines.get(dose.cvx)) is not None
    )


def _is_for_season(group: str, person: Person, as_of: date) -> bool:
    if group == INFLUENZA:
        transplant = person.observed(DATE_OF_TRANSPLANT)
        if transplant is not None and as_of < _INFLUENZA_AFTER_TRANSPLANT.after(transplant):
            return False
        return as_of.month in _INFLUENZA_MONTHS and not person.within_ages(as_of, None, _INFLUENZA_FROM)
    if group == RSV and is_for_rsv_antibody(person, as_of):
        return True
    onset = person.observed(ONSET_OF_PREGNANCY) if group == RSV and PREGNANT in person.codes else None
    if onset is None or as_of.month not in _RSV_MONTHS:
        return False
    return _RSV_WEEKS[0] * 7 <= (as_of - onset).days < _RSV_WEEKS[1] * 7


def is_for_rsv_antibody(person: Person, as_of: date) -> bool:
    """Whether a child in the first RSV season is to have an antibody."""
    is_young = person.within_ages(as_of, None, _RSV_ANTIBODY_BEFORE) and _MOTHER_VACCINATED not in person.codes
    return is_young and as_of.month in _RSV_ANTIBODY_MONTHS


def _is_catch_up(forecast: GroupForecast) -> bool:
    """Whether an adult should have had it as a child, before the chart began perhaps.

    No dose counts; or, of tetanus, only doses of an adult are on record, the last of them less than ten years ago.
    """
    grown_up = ADULT.after(forecast.person.birth_date)
    recommended, days = forecast.recommended, forecast.counted_days
    if forecast.reasons or recommended is None:
        return False
    if days:
        is_recent = _TETANUS_BOOSTER.after(days[-1]) > forecast.as_of
        return forecast.group == TETANUS_GROUP and days[0] >= grown_up and is_recent
    return recommended < grown_up


def _waits_in_pregnancy(forecast: GroupForecast) -> bool:
    """Whether a first dose or a booster against tetanus waits for Tdap in weeks 27 to 36 (MMWR 2018;67(RR-2):1).

    A series with a dose within a year goes on.
    """
    person, as_of, days = forecast.person, forecast.as_of, forecast.counted_days
    if forecast.group != TETANUS_GROUP or forecast.for_pregnancy or PREGNANT not in person.codes:
        return False
    onset = person.observed(ONSET_OF_PREGNANCY)
    is_early = onset is None or (as_of - onset).days < _TDAP_WEEK * 7
    return is_early and not (days and _A_YEAR.after(days[-1]) > as_of)


def _is_shared_decision(forecast: GroupForecast) -> bool:
    if all(_SHARED_DECISION in candidate.series.name.lower() for candidate in forecast.best):
        return True
    started = any(candidate.course.valid for candidate in forecast.best)
    return any(
        forecast.person.within_ages(forecast.as_of, shared_decision.begin, shared_decision.end)
        and (shared_decision.even_if_started or not started)
        and (
            shared_decision.even_at_risk or forecast.series_type != "Risk" or _is_at_risk_of(shared_decision, forecast)
        )
        for shared_decision in _SHARED_DECISIONS.get(forecast.group, ())
    )


def _is_at_risk_of(shared_decision: "_SharedDecision", forecast: GroupForecast) -> bool:
    """Whether all that makes the dose one of risk is what ACIP leaves to a shared decision at this age."""
    indications = {indication.observation for candidate in forecast.best for indication in candidate.series.indications}
    return indications & forecast.person.codes <= shared_decision.at_risk_of


class _SharedDecision(NamedTuple):
    begin: Period | None
    end: Period | None
    even_if_started: bool
    even_at_risk: bool
    at_risk_of: frozenset[str]


_SHARED_DECISIONS: Final[Mapping[str, list[_SharedDecision]]] = defaultdict(list)
for row in package_rows("cards.vaccines", "data/shared_decisions.csv"):
    _SHARED_DECISIONS[row["group"]].append(
        _SharedDecision(
            parse_period(row["from_age"]) if row["from_age"] else None,
            parse_period(row["until_age"]) if row["until_age"] else None,
            row["started"] == "any",
            row["risk"] == "any",
            frozenset(row["risk"].split(";")) - {"any", "no", ""},
        )
    )


def _why_not_judged(forecast: GroupForecast, knowledge: VaccineKnowledge) -> str | None:
    """Return an immunity or a date that the chart does not tell."""
    if forecast.status not in (SeriesStatus.NOT_COMPLETE, SeriesStatus.NOT_RECOMMENDED):
        return None
    person = forecast.person
    for antigen in knowledge.schedule.groups[forecast.group].antigens:
        for cohort in knowledge.antigens[antigen].immune_births:
            if cohort.country and not person.country and person.birth_date < cohort.born_before:
                return f"{forecast.group}: country of birth not known"
    for rule in forecast.next_doses:
        for interval in rule.intervals:
            code = interval.from_observation
            if code and person.observed(code) is None:
                title = knowledge.schedule.observations[code].title
                return f"{forecast.group}: the date is not known ({title.lower()})"
    return None


def _season_before(forecast: GroupForecast) -> date | None:
    """Return the end of the last season that the release covers, where it is over: of a complete series too.

    The dose of one season says nothing about the next one.
    """
    if forecast.status is SeriesStatus.COMPLETE:
        rules = [rule for candidate in forecast.best for rule in candidate.series.doses]
    elif forecast.status in (SeriesStatus.NOT_COMPLETE, SeriesStatus.NOT_RECOMMENDED):
        rules = forecast.next_doses
    else:
        return None
    ends = [rule.season_over for rule in rules if rule.season_over is not None]
    return max(ends) if ends and max(ends) < forecast.as_of else None


def _labels(group: str) -> tuple[str, ...]:
    """Every name that our own drafts give a group."""
    if group == TETANUS_GROUP:
        return (group, "DTaP", "Tdap/Td", "Tdap")
    return (group, LABELS[group]) if group in LABELS else (group,)


def _forbidden(forecasts: list[GroupForecast], charted: ChartedPerson) -> tuple[ForbiddenVaccine, ...]:
    by_group: dict[str, ForbiddenVaccine] = {}
    complete = {forecast.group for forecast in forecasts if forecast.status is SeriesStatus.COMPLETE}
    for forecast in forecasts:
        if forecast.status is SeriesStatus.CONTRAINDICATED and forecast.group not in complete:
            items: list[Contraindication] = [
                item for candidate in forecast.best for item in candidate.forecast.contraindicated_by
            ]
            codes = {item.observation for item in items}
            against = tuple(
                {item.source: item for item in reversed(charted.person.observations) if item.code in codes}.values()
            )[::-1]
            by_group.setdefault(forecast.group, ForbiddenVaccine(forecast.group, against))
    return tuple(by_group.values())


def _to_check(
    needed: Mapping[str, bool], charted: ChartedPerson, knowledge: VaccineKnowledge
) -> tuple[VaccineToCheck, ...]:
    unsure = [(item, item.code) for item in charted.to_check]
    if not charted.person.codes & {HIV_SEVERE, _HIV_NOT_SEVERE}:
        # How far the immune system is suppressed, a code of HIV infection does not say.
        unsure += [(item, HIV_SEVERE) for item in charted.person.observations if item.code == HIV]
    return tuple(check for item, code in unsure for check in _checks_of(item, code, needed, knowledge))


def _checks_of(
    item: PatientObservation, code: str, needed: Mapping[str, bool], knowledge: VaccineKnowledge
) -> Iterator[VaccineToCheck]:
    """Yield the groups that CDC's tables forbid, and those of which they forbid one vaccine.

    What forbids one vaccine of several (live influenza vaccine) is not asked for what the chart leaves open, nor of a
    group for which `needed` is false.
    """
    whole, in_part = dict[str, str](), dict[str, str]()
    for group, is_due in needed.items():
        for antigen in knowledge.schedule.groups[group].antigens:
            rules = knowledge.antigens[antigen]
            for rule in rules.contraindications:
                if rule.observation == code:
                    whole[group] = rule.text
            for rule in rules.vaccine_contraindications:
                if rule.observation == code and is_due and not item.is_open:
                    in_part[group] = rule.text
    one_vaccine = {group: text for group, text in in_part.items() if group not in whole}
    for texts, is_whole in ((whole, True), (one_vaccine, False)):
        if texts:
            yield VaccineToCheck(item, next(iter(texts.values())), tuple(texts), is_whole)


# Doses of the chart that name their vaccine and have no CVX code or no day: they count for nothing, and hold back a
# group of which one may be the dose that is due, so that the chart is checked first


def _uncoded_doses(group: str, since: date | None, charted: ChartedPerson, book: VaccineKnowledge) -> list[DoseToCheck]:
    """Return the doses of a group that cannot be counted; with `since` only those dated after that day."""
    antigens = set(book.schedule.groups[group].antigens)
    return [
        dose
        for dose in charted.history.to_check
        if dose.families & antigens and (since is None or (dose.given is not None and dose.given > since))
    ]


def _may_be_given(forecast: GroupForecast, charted: ChartedPerson, book: VaccineKnowledge) -> list[DoseToCheck]:
    """Return the doses without a code or a day of which one may be the dose that is due."""
    group = forecast.group
    too_old = [*forecast.counted_days[-1:], *_too_old(forecast)]
    if forecast.for_pregnancy:
        too_old.append(forecast.person.observed(ONSET_OF_PREGNANCY) or forecast.as_of - _PREGNANCY)
    since = max(too_old, default=None)
    return [
        dose
        for dose in _uncoded_doses(group, since, charted, book)
        if _SUPERSEDED.search(dose.words) is None
        and (group != "Zoster" or dose.given is None or dose.given >= _RECOMBINANT_ZOSTER)
    ]


def _too_old(forecast: GroupForecast) -> Iterator[date]:
    """Yield the days up to which a dose is none that is due now, whatever was counted."""
    group, recommended, person, as_of = forecast.group, forecast.recommended, forecast.person, forecast.as_of
    if group in _OF_SEASONS and recommended is not None:
        yield recommended - timedelta(days=1)
    if group == TETANUS_GROUP and person.within_ages(as_of, Period(years=19), None):
        yield as_of.replace(year=as_of.year - _TETANUS_BOOSTER.years, day=min(as_of.day, 28))
    if (transplant := person.observed(DATE_OF_TRANSPLANT)) is not None:
        yield transplant
