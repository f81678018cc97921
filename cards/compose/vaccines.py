"""Composes the card of the vaccines due: what is due, from which dated doses, what was not judged, and the orders.

A suggestion is a draft order for a dose; what is due goes with them as a FHIR resource.
"""

import re
from collections.abc import Iterable
from datetime import date
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from cards.card import (
    HEADLINE_LENGTH,
    REASONS_OF_WHAT_IS_DUE,
    SUMMARY_LIMIT,
    TOPICS,
    Card,
    CardIdentity,
    Source,
    Suggestion,
    order_suggestion,
)
from cards.compose.model import WHY
from cards.extension import CardExtension, VaccineForecast, VaccineForecasts
from cards.finding import Finding
from cards.new_orders import service_order
from cards.text import capitalized, escape, first_few, plain
from cards.vaccines.course import DoseStatus, Evaluation
from cards.vaccines.due import (
    INFLUENZA,
    RSV,
    ForbiddenVaccine,
    UncodedVaccine,
    VaccinesDue,
    VaccineToCheck,
    is_for_rsv_antibody,
)
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.groups import GroupForecast
from cards.vaccines.knowledge import VaccineKnowledge
from cards.vaccines.patient import PREGNANT, ChartedPerson, PatientObservation
from fhir.terminology.analytes import LOINC
from fhir.terminology.medications import CVX

Json = dict[str, Any]

# FHIR R4, value set immunization-recommendation-date-criterion (LOINC).
_DATE_CODES = {
    "earliest": ("30981-5", "Earliest date to give"),
    "recommended": ("30980-7", "Date vaccine due"),
    "past_due": ("59778-1", "Date when overdue for immunization"),
}
_STATUS_SYSTEM = "http://terminology.hl7.org/CodeSystem/immunization-recommendation-status"


def vaccine_order(item: GroupForecast, patient_id: str, knowledge: VaccineKnowledge) -> Json:
    """Return a draft ServiceRequest (FHIR R4) for the next dose, with the CVX code where CDC recommends one vaccine."""
    codings = _codings(item, knowledge)
    name = codings[0]["display"] if len(codings) == 1 else item.label
    words = "Tdap vaccine" if item.for_pregnancy else f"{name} vaccine, dose {item.dose_number}"
    order = service_order(words, patient_id, item.as_of.isoformat())
    if len(item.vaccines) == 1:
        order["code"]["coding"] = codings or [{"system": CVX, "code": item.vaccines[0], "display": name}]
    return order


def _codings(item: GroupForecast, knowledge: VaccineKnowledge) -> list[dict[str, str]]:
    """Return the vaccines that CDC prefers for the next dose, if it names any."""
    vaccines = knowledge.schedule.vaccines
    return [{"system": CVX, "code": code, "display": vaccines[code].name} for code in item.vaccines if code in vaccines]


def immunization_recommendation(due: VaccinesDue, patient_id: str, knowledge: VaccineKnowledge) -> Json:
    """Return a FHIR R4 ImmunizationRecommendation of the doses that are due now.

    A later dose is not a recommendation of today, nor is one of which an earlier dose has to be checked first.
    """
    to_check = {item.group for item in due.uncoded} | due.groups_to_check
    due_now = {item.group for item in (*due.due, *due.catch_up)}
    return {
        "resourceType": "ImmunizationRecommendation",
        "patient": {"reference": f"Patient/{patient_id}"},
        "date": due.as_of.isoformat(),
        "recommendation": [
            _recommendation(item, knowledge)
            for item in due.forecasts
            if item.status is SeriesStatus.NOT_COMPLETE and item.group in due_now - to_check
        ],
    }


def _recommendation(item: GroupForecast, knowledge: VaccineKnowledge) -> Json:
    overdue = item.past_due is not None and item.past_due < item.as_of
    status = "overdue" if overdue else "due"
    codings = _codings(item, knowledge)
    recommendation: Json = {
        "vaccineCode": [{**({"coding": codings} if codings else {}), "text": item.group}],
        "forecastStatus": {"coding": [{"system": _STATUS_SYSTEM, "code": status}]},
        "series": "; ".join(candidate.series.name for candidate in item.best),
    }
    dates = {"earliest": item.earliest, "recommended": item.recommended, "past_due": item.past_due}
    if criteria := [_criterion(name, day) for name, day in dates.items() if day is not None]:
        recommendation["dateCriterion"] = criteria
    if item.dose_number is not None:
        recommendation["doseNumberPositiveInt"] = item.dose_number
    sources = dict.fromkeys(
        evaluation.dose.source
        for candidate in item.best
        for evaluation in candidate.course.evaluations
        if evaluation.status is DoseStatus.VALID and "/" in evaluation.dose.source
    )
    if sources:
        recommendation["supportingImmunization"] = [{"reference": source} for source in sources]
    return recommendation


def _criterion(name: str, day: date) -> Json:
    code, display = _DATE_CODES[name]
    return {
        "code": {"coding": [{"system": LOINC, "code": code, "display": display}]},
        "value": day.isoformat(),
    }


CDC_URL = "https://www.cdc.gov/iis/cdsi/index.html"
# A reference to another document of CDC within a contraindication.
_SEE = re.compile(r"\s?[(\[]See [^)\]]{0,200}[)\]]")
_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z])")
# An older date is that of an age alone, before there was a vaccine perhaps; without a dose it always is.
_DATED_DAYS, _DATED_DAYS_OF_AGE = 5 * 365, 365
_LINES = 6
_SUMMARY_NAMES, _FEWER_NAMES = 4, 2
_OFFERED_ONE_BY_ONE = 5
"""More vaccines than these are offered together: all of a visit can be ordered, or none."""
_SHOWN_DOSES = 4


def vaccines_card(
    due: VaccinesDue,
    charted: ChartedPerson,
    patient_id: str,
    identity: CardIdentity,
    knowledge: VaccineKnowledge,
    unread: Iterable[str] = (),
    forecasts: VaccineForecasts | None = None,
    *,
    is_brief: bool = False,
) -> Card:
    """Return the one card of a visit where something is due or to be caught up; `unread` says what could not be read.

    `forecasts` are those of `forecast_entries`, where they were made already. `is_brief`: without what was not judged
    or may be discussed, and with the orders of what is due only.
    """
    if is_brief:
        due = replace(due, to_discuss=(), seasons_over=(), not_judged=())
    shown = forecasts or forecast_entries(due, knowledge)
    offered = _offered(due, charted, knowledge, is_brief=is_brief)
    return identity.card(
        "info",
        _summary(due, offered),
        "\n".join(_detail(due, offered, charted, [*due.not_judged, *unread], knowledge)),
        Source(label=knowledge.citation, url=CDC_URL, topic=TOPICS["vaccines"]),
        CardExtension(finding=_finding(shown), vaccines=shown),
        suggestions=_suggestions(due, offered, patient_id, knowledge),
        reasons=REASONS_OF_WHAT_IS_DUE,
    )


def _finding(shown: VaccineForecasts) -> Finding:
    """Return the doses that may be given by now; one is another part from the day on which it is recommended."""
    doses = []
    for forecast in shown.forecasts:
        if forecast.status == SeriesStatus.NOT_COMPLETE and _is_reached(forecast.earliest, shown):
            state = "due" if _is_reached(forecast.recommended, shown) else "possible"
            doses.append(f"{forecast.group} {forecast.dose} {state}")
    is_list = sum(dose.endswith(" due") for dose in doses) > 1
    return Finding("vaccines due", "vaccines-due", parts=tuple(doses), is_list=is_list)


def _is_reached(day: str | None, shown: VaccineForecasts) -> bool:
    return day is not None and day <= shown.as_of


def forecast_entries(due: VaccinesDue, knowledge: VaccineKnowledge) -> VaccineForecasts:
    """Return the release and every forecast with its dates and doses, for the extension and the decision record."""
    return VaccineForecasts(
        release=knowledge.schedule.version,
        released=knowledge.schedule.date.isoformat(),
        as_of=due.as_of.isoformat(),
        forecasts=tuple(map(_entry, due.forecasts)),
    )


def _entry(item: GroupForecast) -> VaccineForecast:
    return VaccineForecast(
        group=item.group,
        type=item.series_type,
        status=str(item.status),
        series=tuple([candidate.series.name for candidate in item.best]),
        dose=item.dose_number,
        earliest=item.earliest.isoformat() if item.earliest is not None else None,
        recommended=item.recommended.isoformat() if item.recommended is not None else None,
        past_due=item.past_due.isoformat() if item.past_due is not None else None,
    )


class _Offered(NamedTuple):
    """What a card offers to order, and the names of what has to be checked before it is given."""

    due: list[GroupForecast]
    catch_up: list[GroupForecast]
    season: list[str]
    to_check: list[str]


def _offered(due: VaccinesDue, charted: ChartedPerson, knowledge: VaccineKnowledge, *, is_brief: bool) -> _Offered:
    """Sort what is due: a vaccine that the chart may forbid, or that cannot be judged, is not offered."""
    unspecified = unspecified_doses(due, charted, knowledge)
    held = set(due.groups_to_check)
    if charted.guillain_barre is not None:
        held.add(INFLUENZA)

    def may_be_given(item: GroupForecast) -> bool:
        return item.group not in held and item.label not in unspecified

    # Who has doses of an adult only, and, on a short card, who lacks those of childhood: the registry is asked first.
    without_dose = () if is_brief and due.due else (item for item in due.catch_up if not item.counted_days)
    season = [group for group, _ in due.of_season]
    return _Offered(
        [item for item in due.due if may_be_given(item)],
        [item for item in without_dose if may_be_given(item)],
        # Of RSV the current recommendation is looked up first.
        [group for group in season if group == INFLUENZA and group not in held],
        [
            *(item.label for item in (*due.due, *due.catch_up) if not may_be_given(item)),
            *(group for group in season if group != INFLUENZA or group in held),
        ],
    )


def _summary(due: VaccinesDue, offered: _Offered) -> str:
    """Name what may be given, and what not; a part that has no room stands in the detail alone."""
    names = [*map(_dose_name, offered.due), *offered.season]
    noun = "vaccine is" if len(names) == 1 else "vaccines are"
    number, later = f"{len(names)} {noun} due", len(offered.catch_up)
    in_pregnancy = list(dict.fromkeys(_not_in_pregnancy(due)))
    to_check = [name for name in dict.fromkeys(offered.to_check) if name not in in_pregnancy]
    not_now = f"Not now (pregnancy): {', '.join(in_pregnancy)}." if in_pregnancy else ""
    summary = not_now
    if names:
        versions = (", ".join(names), first_few(names, _SUMMARY_NAMES), first_few(names, _FEWER_NAMES))
        texts = [f"{number}: {version}. {not_now}".strip() for version in versions]
        summary = _longest(texts) or f"{number}. {not_now}".strip()
    if later:
        listed = ", ".join(item.label for item in offered.catch_up)
        summary = _longest([f"{summary} {later} to catch up{text}.".strip() for text in (f": {listed}", "")]) or summary
    if to_check:
        summary = _longest([f"{summary} Check first: {', '.join(to_check)}.".strip()]) or summary
    return plain(summary or f"Check first: {', '.join(to_check)}.", SUMMARY_LIMIT)


def _longest(texts: Iterable[str]) -> str | None:
    """Return the first text that a headline has room for."""
    return next((text for text in texts if len(text) <= HEADLINE_LENGTH), None)


def _not_in_pregnancy(due: VaccinesDue) -> Iterable[str]:
    """Yield the groups that a pregnancy forbids, recorded or not yet ruled out."""
    for item in due.forbidden:
        if any(observation.code == PREGNANT for observation in item.against):
            yield item.group
    for check in due.to_check:
        if check.observation.code == PREGNANT and check.is_whole:
            yield from check.groups


def _dose_name(item: GroupForecast) -> str:
    return item.label if not item.for_pregnancy else "Tdap (in pregnancy)"


def _detail(
    due: VaccinesDue,
    offered: _Offered,
    charted: ChartedPerson,
    not_judged: list[str],
    knowledge: VaccineKnowledge,
) -> list[str]:
    lines, before = [], ""
    for item in offered.due[:_LINES]:
        date_shown = item.reason_since if f"since {item.reason_since}" in _dated(item) else None
        why = _observed(item.reasons, date_shown)
        reason = "" if not why else " Same reason." if why == before else f" Because of {why}.".replace("….", "…")
        before = why
        preferred = [coding["display"] for coding in _codings(item, knowledge)]
        lines.append(_due_line(item, preferred, reason, has_doses=bool(charted.history.days)))
    for group, end in due.of_season:
        if group == INFLUENZA and group not in offered.season:
            continue
        is_for_antibody = group == RSV and is_for_rsv_antibody(charted.person, due.as_of)
        lines.append(_antibody_line(end) if is_for_antibody else _season_line(group, end))
    if more := offered.due[_LINES:]:
        lines.append(f"- Also due: {'; '.join(_short(item) for item in more)}.")
    lines += _catch_up_lines([item for item in due.catch_up if item.label not in offered.to_check])
    if due.tetanus_waits:
        lines.append(
            "- Tdap/Td: Give Tdap in weeks 27 to 36 of this pregnancy. If never vaccinated, give Td now and after 4 "
            "weeks (ACIP 2018)."
        )
    lines += _unspecified_lines(due, charted, knowledge)
    lines += [_uncoded_line(item) for item in due.uncoded]
    if due.declined:
        names = ", ".join(f"{item.group} ({item.when})" for item in due.declined)
        lines.append(f"- Declined by the patient within a year: {names}.")
    if due.ordered:
        lines.append(f"- Ordered already: {', '.join(due.ordered)}.")
    if due.to_discuss:
        names = ", ".join(item.label for item in due.to_discuss)
        lines.append(f"- Shared decision: {names}.")
    lines += _forbidden_lines(due.forbidden)
    lines += [
        f"- Check first: {_observed([check.observation])}. "
        f"{escape(_SENTENCE_END.split(_SEE.sub('', check.text))[0], 160)} {_applies_to(check)}"
        for check in due.to_check
    ]
    named_seasons = {group for group, _ in due.of_season}
    if charted.guillain_barre is not None and INFLUENZA in {item.group for item in due.due} | named_seasons:
        lines.append(
            f"- Check first: {_observed([charted.guillain_barre])}. Within 6 weeks of an earlier dose it is a "
            "precaution (ACIP 2024). Not now: Influenza."
        )
    lines += ["", f"{WHY} {_basis(charted)}"]
    seasons = ", ".join(
        f"{group} (the schedule used here ended {end})" for group, end in due.seasons_over if group not in named_seasons
    )
    if seasons:
        not_judged = [seasons, *not_judged]
    if not_judged:
        lines.append(f"Not judged: {'; '.join(not_judged)}.")
    return lines


def _applies_to(check: VaccineToCheck) -> str:
    """Return what is not given before the check, else of which group one vaccine is not."""
    names = ", ".join(check.groups)
    return f"Not now: {names}." if check.is_whole else f"This applies to {names}."


def _season_line(group: str, end: date) -> str:
    """Return a vaccine of a season, where the release ends before this one: what is no longer known is said."""
    if group == RSV:
        return (
            "- Check first: RSV in this pregnancy, no dose on record. ACIP recommends one at 32 to 36 weeks from "
            f"September to January. The data here end on {end}: check the current recommendation."
        )
    return f"- **{group} (this season)**: none on record since {end}; one each season (ACIP)."


def _antibody_line(end: date) -> str:
    return (
        "- Check first: RSV antibody of the first season, none on record. ACIP recommends one under 8 months from "
        "October to March, unless the mother was vaccinated at least 14 days before the birth. The data here end on "
        f"{end}: check the current recommendation."
    )


def unspecified_doses(due: VaccinesDue, charted: ChartedPerson, knowledge: VaccineKnowledge) -> dict[str, list[str]]:
    """Return the days of the doses whose formulation is not recorded, by the group that is due."""
    days: dict[str, list[str]] = {}
    for dose in charted.history.doses:
        vaccine = knowledge.schedule.vaccines.get(dose.cvx)
        if vaccine is None or "unspecified" not in vaccine.name.lower():
            continue
        antigens = {part.antigen for part in vaccine.antigens}
        for item in (*due.due, *due.catch_up):
            if antigens & set(knowledge.schedule.groups[item.group].antigens):
                days.setdefault(item.label, []).append(dose.given.isoformat())
    return days


def _unspecified_lines(due: VaccinesDue, charted: ChartedPerson, knowledge: VaccineKnowledge) -> Iterable[str]:
    for label, days in unspecified_doses(due, charted, knowledge).items():
        yield (
            f"- {label}: the formulation of the dose of {', '.join(days)} is not recorded (unspecified), so it cannot "
            "be judged. Look for the product before another dose."
        )


def _uncoded_line(item: UncodedVaccine) -> str:
    """Return what is recorded without a code or a day, for which the group is not offered."""
    doses = "; ".join(dict.fromkeys(f"{escape(dose.words, 40)}, {dose.given or 'no date'}" for dose in item.doses[:3]))
    return f"- {item.label}: not offered, recorded without a vaccine code or a date ({doses}). Check what is missing."


_LIVE: Final = ("MMR", "Varicella")


def _catch_up_lines(items: list[GroupForecast]) -> Iterable[str]:
    """Yield what an adult should have had as a child: groups without any dose, and tetanus with adult doses only."""
    without = [item.label for item in items if not item.counted_days]
    if without:
        names = ", ".join(without)
        live = " and ".join(name for name in _LIVE if any(item.label == name for item in items))
        first = f" Before {live} (live) ask about pregnancy and immunosuppression." if live else ""
        yield f"- To catch up, no valid dose: {names}. Ask the registry.{first}"
    for item in items:
        if item.counted_days:
            days = _days(item.evaluations)
            yield (
                f"- To catch up, {item.label}: only doses of an adult are on record ({days}). Ask the registry for "
                f"earlier doses; without them, dose {item.dose_number} is due."
            )


def _due_line(item: GroupForecast, names: Iterable[str], why: str, *, has_doses: bool) -> str:
    if item.for_pregnancy:
        return f"- **Tdap in this pregnancy**: {_dated(item)}. {_whatever_before(item)}{why}"
    several = [escape(_short_name(name), 40) for name in names]
    choice = " or ".join(filter(None, (", ".join(several[:-1]), *several[-1:])))
    preferred = f" ({choice})" if several and several != [item.label] else ""
    doses = _doses(item, has_doses=has_doses)
    return f"- **{item.label}{preferred}, dose {item.dose_number}**: {_dated(item)}.{doses}{why}"


def _short_name(vaccine: str) -> str:
    """Return the name of a vaccine without what the name of its group says: "PCV20"."""
    return vaccine.removeprefix("Pneumococcal conjugate ").replace("PCV ", "PCV")


def _short(item: GroupForecast) -> str:
    """Return a vaccine in a list of several: with the dose that does not count, which is why it is due again."""
    not_counted = _not_counted(item.evaluations)
    return f"{item.label} dose {item.dose_number}{f' ({not_counted})' if not_counted else ''}"


def _dated(item: GroupForecast) -> str:
    """Since when it is due; a risk dose not before the reason for it, whatever date the age alone would give."""
    recommended, since, as_of = item.recommended, item.reason_since, item.as_of
    if recommended is not None and item.reasons and (since is None or recommended < since):
        # A reason may be older than the recommendation that is based on it: its date is not that of the vaccine.
        is_recent = since is not None and (as_of - since).days <= _DATED_DAYS_OF_AGE
        return f"due since {since}" if is_recent else "due"
    dated_days = _DATED_DAYS if item.counted_days or item.is_overdue else _DATED_DAYS_OF_AGE
    if recommended is not None and (as_of - recommended).days > dated_days:
        return "overdue" if item.is_overdue else "due"
    state = f"overdue since {item.past_due}" if item.is_overdue else "due"
    last = item.last_day
    return f"{state} (recommended {recommended}){f', not after {last}' if last is not None else ''}"


def _whatever_before(item: GroupForecast) -> str:
    days = sorted({evaluation.dose.given.isoformat() for evaluation in item.evaluations})
    before = f" (last {days[-1]})" if days else ""
    return f"One dose in each pregnancy, whatever was given before it{before}."


def _doses(item: GroupForecast, *, has_doses: bool) -> str:
    """Which doses count; where the chart has no vaccination at all, the basis of the card says it once."""
    if not item.evaluations:
        return " No dose on record." if has_doses else ""
    counts = bool(item.counted_days)
    sentences = [f"Doses that count: {_days(item.evaluations)}." if counts else "No dose on record counts."]
    if not_counted := _not_counted(item.evaluations):
        sentences.append(f"{capitalized(not_counted)}.")
    return f" {' '.join(sentences)}"


def _not_counted(evaluations: tuple[Evaluation, ...]) -> str:
    """Return the last dose that does not count and why, '' where all count."""
    not_counted = [item for item in evaluations if item.status is not DoseStatus.VALID]
    if not not_counted:
        return ""
    reason = not_counted[-1].reason.partition(": ")[2] or not_counted[-1].reason or not_counted[-1].status.value
    return f"the dose of {not_counted[-1].dose.given} does not count ({reason.lower()})"


def _days(evaluations: tuple[Evaluation, ...]) -> str:
    """Return the days of the doses that count, the last ones written out."""
    counted = [item for item in evaluations if item.status is DoseStatus.VALID]
    days = list(dict.fromkeys(item.dose.given.isoformat() for item in counted))
    left_out = len(days) - _SHOWN_DOSES
    return ", ".join([*([f"{left_out} earlier"] if left_out > 0 else []), *days[-_SHOWN_DOSES:]])


def _observed(items: Iterable[PatientObservation], date_shown: date | None = None) -> str:
    """Return what was observed and since when; `date_shown` is a date that the sentence has already."""
    return "; ".join(
        dict.fromkeys(
            f"{escape(item.words or item.code, 40)}{f' ({item.since})' if item.since not in (None, date_shown) else ''}"
            for item in items
        )
    )


def _forbidden_lines(items: Iterable[ForbiddenVaccine]) -> Iterable[str]:
    """One line for the vaccine groups that the same entries of the chart forbid."""
    groups: dict[str, list[str]] = {}
    for item in items:
        is_allergy = all(one.source.startswith("AllergyIntolerance/") for one in item.against)
        entries = f"{'an allergy: ' if is_allergy else ''}{_observed(item.against)}"
        reason = f" because of {entries}" if item.against else ""
        groups.setdefault(reason, []).append(item.group)
    for reason, names in groups.items():
        yield f"- Contraindicated: {', '.join(names)}{reason}."


def _basis(charted: ChartedPerson) -> str:
    """Return what the forecast is based on, and what a chart does not show."""
    days = charted.history.days
    number = f"{len(days)} day{'s' if len(days) > 1 else ''}"
    none = f"No vaccination {'with a code and a day ' if charted.history.to_check else ''}is on record"
    seen = f"Vaccinations on {number} are on record" if days else none
    return f"{seen}. Doses elsewhere, travel, occupation: unknown."


def _suggestions(
    due: VaccinesDue, offered: _Offered, patient_id: str, knowledge: VaccineKnowledge
) -> Iterable[Suggestion]:
    """Yield the orders, together where there are many, and what is due as a resource."""
    due_now = [(_order_label(item), item.label, vaccine_order(item, patient_id, knowledge)) for item in offered.due]
    due_now += [
        (f"Order {group}", group, service_order(f"{group} vaccine", patient_id, due.as_of.isoformat()))
        for group in offered.season
    ]
    later = [(_order_label(item), item.label, vaccine_order(item, patient_id, knowledge)) for item in offered.catch_up]
    is_many = len(due_now) + len(later) > _OFFERED_ONE_BY_ONE
    for start, vaccines in (("Order", due_now), ("Order to catch up:", later)):
        if is_many and len(vaccines) > 1:
            label = f"{start} {', '.join(name for _, name, _ in vaccines)}"
            yield order_suggestion(label, "Draft order.", *(order for _, _, order in vaccines))
            continue
        for position, (label, _, order) in enumerate(vaccines):
            # What may be on record elsewhere is not preselected.
            is_recommended = not is_many and position == 0 and vaccines is due_now and bool(offered.due)
            yield order_suggestion(plain(label, 80), "Draft order.", order, is_recommended=is_recommended)
    forecast = immunization_recommendation(due, patient_id, knowledge)
    yield order_suggestion("Save due-dose list to chart", "Due doses.", forecast)


def _order_label(item: GroupForecast) -> str:
    return "Order Tdap (in pregnancy)" if item.for_pregnancy else f"Order {item.label} dose {item.dose_number}"
