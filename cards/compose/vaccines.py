"""Composes the card of the vaccines due: the headline, and the forecasts that go with it as data."""

from collections.abc import Iterable

from msgspec.structs import replace

from cards.card import (
    HEADLINE_LENGTH,
    REASONS_OF_WHAT_IS_DUE,
    SUMMARY_LIMIT,
    TOPICS,
    Card,
    CardIdentity,
    Source,
)
from cards.compose.vaccine_details import vaccine_detail
from cards.compose.vaccine_orders import Offered, offered_vaccines, vaccine_suggestions
from cards.extension import CardExtension, VaccineForecast, VaccineForecasts
from cards.finding import Finding
from cards.text import first_few, plain
from cards.vaccines.due import VaccinesDue
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.groups import GroupForecast
from cards.vaccines.knowledge import VaccineKnowledge
from cards.vaccines.patient import PREGNANT, ChartedPerson

CDC_URL = "https://www.cdc.gov/iis/cdsi/index.html"
_SUMMARY_NAMES, _FEWER_NAMES = 4, 2


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
    offered = offered_vaccines(due, charted, knowledge, is_brief=is_brief)
    return identity.card(
        "info",
        _summary(due, offered),
        "\n".join(vaccine_detail(due, offered, charted, [*due.not_judged, *unread], knowledge)),
        Source(label=knowledge.citation, url=CDC_URL, topic=TOPICS["vaccines"]),
        CardExtension(finding=_finding(shown), vaccines=shown),
        suggestions=vaccine_suggestions(due, offered, patient_id, knowledge),
        reasons=REASONS_OF_WHAT_IS_DUE,
    )


def _summary(due: VaccinesDue, offered: Offered) -> str:
    """Name what may be given, and what not; a part that has no room stands in the detail alone."""
    due_names = ("Tdap (in pregnancy)" if item.for_pregnancy else item.label for item in offered.due)
    names = [*due_names, *offered.season]
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
