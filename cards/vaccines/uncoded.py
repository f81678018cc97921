"""Doses of the chart that name their vaccine and have no CVX code or no day: they count for nothing, and hold back.

A group of which such a dose may be the one that is due is not offered: the chart is checked first. A dose too old to
be the one that is due holds nothing back.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from cards.vaccines.groups import TETANUS_GROUP, GroupForecast
from cards.vaccines.knowledge import Period, VaccineKnowledge
from cards.vaccines.patient import DATE_OF_TRANSPLANT, ONSET_OF_PREGNANCY, ChartedPerson
from fhir.mapping.immunizations import DoseToCheck

# CDC, supporting data, tetanus and diphtheria: the booster is ten years after the last dose.
TETANUS_BOOSTER: Final = Period(years=10)
_OF_SEASONS: Final = frozenset({"Influenza", "COVID-19"})
_PREGNANCY: Final = timedelta(days=280)
# What does not complete its group: live zoster vaccine (MMWR 2018;67:103), polysaccharide vaccine (MMWR 2022;71:109).
_SUPERSEDED: Final = re.compile(r"zostavax|\bzvl\b|pneumovax|\bppv ?23|\bppsv|polysac", re.IGNORECASE)
_RECOMBINANT_ZOSTER: Final = date(2017, 10, 20)  # licensed by the FDA


def uncoded_doses(group: str, since: date | None, charted: ChartedPerson, book: VaccineKnowledge) -> list[DoseToCheck]:
    """Return the doses of a group that cannot be counted; with `since` only those dated after that day."""
    antigens = set(book.schedule.groups[group].antigens)
    return [
        dose
        for dose in charted.history.to_check
        if dose.families & antigens and (since is None or (dose.given is not None and dose.given > since))
    ]


def may_be_given(forecast: GroupForecast, charted: ChartedPerson, book: VaccineKnowledge) -> list[DoseToCheck]:
    """Return the doses without a code or a day of which one may be the dose that is due."""
    group = forecast.group
    too_old = [*forecast.counted_days[-1:], *_too_old(forecast)]
    if forecast.for_pregnancy:
        too_old.append(forecast.person.observed(ONSET_OF_PREGNANCY) or forecast.as_of - _PREGNANCY)
    since = max(too_old, default=None)
    return [
        dose
        for dose in uncoded_doses(group, since, charted, book)
        if _SUPERSEDED.search(dose.words) is None
        and (group != "Zoster" or dose.given is None or dose.given >= _RECOMBINANT_ZOSTER)
    ]


def _too_old(forecast: GroupForecast) -> Iterator[date]:
    """Yield the days up to which a dose is none that is due now, whatever was counted."""
    group, recommended, person, as_of = forecast.group, forecast.recommended, forecast.person, forecast.as_of
    if group in _OF_SEASONS and recommended is not None:
        yield recommended - timedelta(days=1)
    if group == TETANUS_GROUP and person.within_ages(as_of, Period(years=19), None):
        yield as_of.replace(year=as_of.year - TETANUS_BOOSTER.years, day=min(as_of.day, 28))
    if (transplant := person.observed(DATE_OF_TRANSPLANT)) is not None:
        yield transplant
