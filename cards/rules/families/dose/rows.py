"""Which rows of limits are about an order: by its route, its form, how it is given, the age and the weight."""

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Final

from msgspec.structs import replace

from cards.rules.families.dose.excess import TEN_FOLD, TEN_FOLD_NARROW
from cards.rules.families.dose.knowledge import ADULT_YEARS, DRIPS, LIMITS, WORDS, Limit, says
from cards.rules.patient.context import RuleContext
from fhir.mapping.medications.administration import CONTAINER, Administration, Measure, administrations
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.caching import remembered

LIGHTEST_ADULT_KG: Final = 30.0
"""Hardly an adult weighs less: what is over a limit even then is over it."""


def _fits_form(form: str, medication: MedicationIdentity) -> bool | None:
    """Whether a row for this form is meant; None where the order does not say the form."""
    if not form:
        return True
    words = f"{medication.dose_form} {medication.words}"
    if medication.is_injected and says("depot", words):
        return form == "slow"
    if says("intravenous", medication.route):
        return form == "immediate"
    if not medication.is_slow_release:
        return None if not medication.dose_form else form == "immediate"
    if form in ("immediate", "slow"):
        return form == "slow"
    forms = [form_name for form_name in ("12 h", "24 h") if says(form_name, words)]
    return form in forms if forms else None


def _of_this_form(rows: list[Limit], medication: MedicationIdentity) -> list[Limit]:
    """Return the rows of the order's form. Where it does not say the form: of those that it may be only the highest.

    A row without a form is about every form that has no row: where the order may be of one of these, its limit counts.
    """
    possible: dict[object, Limit] = {}
    fitting, of_any_form = [], set()
    for row in rows:
        fits = _fits_form(row.form, medication)
        kind = (row.per_dose, row.per_kg, row.per_week, row.population, row.per_hour, row.per_area)
        if fits is True:
            of_any_form |= set() if row.form or row.condition or row.setting else {kind}
            fitting.append(row)
        elif fits is None and not row.per_dose:
            highest = possible.get(kind, row)
            larger = row if row.most > highest.most else highest
            # A dose above the highest is above the firm one, too, where both are for the same patients.
            are_alike = (row.condition, row.setting) == (highest.condition, highest.setting)
            is_firm = row.is_firm or highest.is_firm if are_alike else larger.is_firm
            possible[kind] = replace(larger, is_firm=is_firm)
    return fitting + [row for kind, row in possible.items() if kind not in of_any_form]


_BY_MOUTH = "this is a dose by mouth; no limit is known for an injection"
_ROUTES_IN_NAMES = ("intrathecal", "flush", "nasal", "patch")


# Settled once for a medication: every draft of it and three questions about it ask.
@remembered("limits of a route", entries=2048, longest=1000)
def limits_of_route(rxcui: str, medication: MedicationIdentity) -> tuple[Limit, ...]:
    """Return the rows of the order's route; a drug that is only injected is, whatever its order says."""
    rows = LIMITS.get(rxcui, ())
    written = medication.route.lower()
    words = f"{written} {medication.dose_form} {medication.words}".lower()
    # What is given into the epidural space is absorbed from there: more than is injected elsewhere it may not be.
    is_injected = medication.is_injected or "epidural" in words
    if medication.systemic is False and not is_injected:
        routes = {"local", "nebulised" if says("nebulised", words) or says("liquid", words) else "aerosol"}
    else:
        is_injected |= all(row.route.startswith(("in", "flush")) for row in rows)
        routes = {"any", "injected" if is_injected else ""}
    routes |= {route for route in _ROUTES_IN_NAMES if route in words}
    routes |= {"intravenous"} if says("intravenous", written) else set()
    if says("swallowed", f"{written} {medication.dose_form}"):
        routes -= {"injected"}
    return tuple([row for row in rows if row.route in routes or (row.route and written.startswith(row.route))])


class OrderedDose:
    """What is ordered of a draft and how it is given, with the rows of limits about it."""

    def __init__(self, context: RuleContext) -> None:
        """Read the steps of the order, none where structure and words contradict, and the rows of its route."""
        self.context, self.medication, self.dose = context, context.medication, context.drafted.dose
        self.weight_kg, self.text = context.weight_kg, context.drafted.text
        self.is_often = self.dose.times_per_day is not None
        self.is_child = context.age_years is not None and context.age_years < ADULT_YEARS
        self.totals: dict[str, tuple[float | None, bool]] = {}
        problem = self.dose.problem
        is_contradiction = problem is not None and problem.reason == "contradiction"
        self.steps = () if is_contradiction else administrations(context.drafted.order, self.medication)
        self.of_route = {rxcui: limits_of_route(rxcui, self.medication) for rxcui in self.medication.rxcuis}
        # All rows are of what is swallowed: an injection far over them can hardly be meant, any other is not judged.
        self.is_only_swallowed = self.medication.is_injected and not any(self.of_route.values())
        self.limits = {rxcui: self._limits(rxcui) for rxcui in self.medication.rxcuis}

    def _limits(self, rxcui: str) -> list[Limit]:
        """Return the rows of the route, which the words of the order may say alone: "nebulized", "6 patches"."""
        rows, text = LIMITS.get(rxcui, ()), self.text.lower()
        if says("nebulised", text):
            return [row for row in rows if row.route in ("nebulised", "any")]
        breathed = [row for row in rows if row.route == "aerosol"] if says("aerosol", text) else []
        if breathed and not (self.medication.route or self.medication.dose_form):  # "budesonide-formoterol, 12 puffs"
            return breathed
        if self._only_runs():
            of_vein = [row for row in rows if row.route in ("injected", "intravenous", "any")]
            return of_vein + _alarm_of_day(rows, self.weight_kg)
        if self.is_only_swallowed:
            by_mouth = _alarm_of_day([row for row in rows if row.route in ("", "any")], self.weight_kg)
            told = [replace(row, form="", population="continued", is_lead=True, note=_BY_MOUTH) for row in by_mouth]
            return [replace(row, ten_fold_from=max(row.ten_fold_from or 0.0, TEN_FOLD * row.most)) for row in told]
        of_route = [*self.of_route[rxcui]]
        if says("swallowed", text) and not self.medication.is_injected:  # "diltiazem 120 mg, 1 tablet twice daily"
            of_route = [row for row in of_route if row.route != "injected"]
        if "patch" not in text:
            return of_route
        return of_route + [row for row in rows if row.route == "patch" and row not in of_route]

    def _only_runs(self) -> bool:
        """Whether it is ordered by the hour or minute alone, without a route or a form: that is never swallowed."""
        what = self.medication
        is_said = what.route or what.dose_form or what.is_slow_release or what.systemic is False
        return bool(self.steps) and not is_said and all(step.way == "drip" and step.rates for step in self.steps)

    def age_for(self, rows: Iterable[Limit]) -> int | None:
        """Return the age in years by which these rows are chosen; None where it is not known well enough to choose.

        A year of birth alone leaves two ages: they are enough where both choose the same rows.
        """
        age = self.context.age_years
        if age is not None or (bounds := self.context.session.record.age_bounds()) is None:
            return age
        least, most = bounds
        ranges = [range(ADULT_YEARS), *(row.ages for row in rows)]
        return least if all((least in ages) is (most in ages) for ages in ranges) else None

    @cached_property
    def rows(self) -> dict[str, list[tuple[Limit, bool]]]:
        """The rows about each drug for the age, its route and form, and whether they are those of the older.

        A child for whom no row gives a dose is measured by the most that adults and older children are given; what is
        over an amount for each kilogram is information up to twice that, since small children may be given more of it.
        """
        return {rxcui: self._rows(limits) for rxcui, limits in self.limits.items()}

    def _rows(self, limits: list[Limit]) -> list[tuple[Limit, bool]]:
        age = self.age_for(limits)
        is_adult = age is not None and age >= ADULT_YEARS  # rows of other ages are for children, or beside them
        rows = [
            row
            for row in limits
            if (not is_adult or age in row.ages)
            and (row.population != "one dose" or self._is_given_in_doses(row.rxcui))
            and (not row.per_hour or any(_says_an_hour(step, row) for step in self.steps))
            # A nebuliser that runs on ("10 mg/h") is for a severe attack, and no single nebule.
            and (row.route != "nebulised" or row.per_hour or self.per_hour(row) is None)
        ]
        fitting = [row for row in rows if age is not None and age in row.ages and self._fits_weight(row)]
        about = [(row, False) for row in _of_this_form(fitting, self.medication)]
        if age is None or is_adult:
            return about
        of_own_age = {row.per_hour for row in fitting if not (row.per_kg or row.is_lead)}
        older = [row for row in rows if row not in fitting and row.per_hour not in of_own_age and _is_cap(row)]
        if not fitting:
            older = [row for row in rows if row.is_for_adults or (age < row.ages.start and _is_for_more(row))]
        elif all(row.is_lead for row in fitting):
            older += [
                row for row in rows if age < row.ages.start and row.per_kg and not row.is_lead and _is_for_more(row)
            ]
        older = _of_this_form([row for row in older if not row.condition], self.medication)
        return about + [(row, True) for row in older]

    def measure(self, row: Limit) -> Measure:
        """Return what measures an amount in the unit of the row, for each kilogram where the row is."""
        is_of_start = row.population == "first order"
        weight = self.weight_kg or self.lightest_kg(row)
        return Measure(self.medication, row.rxcui, row.unit, row.per_kg, weight, is_of_start)

    @cached_property
    def is_by_weight(self) -> bool:
        """Whether the order itself says an amount for each kilogram."""
        amounts = [amount for step in self.steps for amount in (step.dose, *step.rates) if amount is not None]
        return any(amount.unit.by_weight for amount in amounts)

    def lightest_kg(self, row: Limit) -> float | None:
        """Return with which weight an adult's "9 mg/kg" is at least counted, where none is known: the row is of mg."""
        is_adult = (self.context.age_years or 0) >= ADULT_YEARS
        is_needed = is_adult and not (self.weight_kg or row.per_kg or row.per_area)
        return LIGHTEST_ADULT_KG if is_needed and self.is_by_weight else None

    def has_no_dose(self, rxcui: str) -> bool:
        """Whether nothing is ordered that a limit of one dose could measure: drips, and what runs all day long."""
        return bool(self.steps) and not any(
            self.is_dose(step, rxcui) or (self.is_often and not self._runs_all_day(step, rxcui)) for step in self.steps
        )

    def _runs_all_day(self, step: Administration, rxcui: str) -> bool:
        """Whether it runs from day to day: what is "800 mg/24 h" and no more may be taken at once, if it is no drip."""
        is_at_once = step.is_day_sum and not (is_given_as_drip(rxcui) or self._is_day_of_tablets(rxcui))
        return step.runs_all_day and not is_at_once

    def _is_day_of_tablets(self, rxcui: str) -> bool:
        """Whether it is a form of which several are taken in a day, and the day is within the limit of one."""
        amount = self.dose.daily(rxcui)
        if amount is None or not self.medication.dose_form:
            return False
        rows = (row for row in self.of_route[rxcui] if row.unit == "mg" and not row.condition)
        days = [
            row.most for row in rows if not (row.per_dose or row.per_hour or row.per_week or row.per_kg or row.per_area)
        ]
        return amount.high <= max(days, default=0.0)

    def is_dose(self, step: Administration, rxcui: str) -> bool:
        """Whether a step is one dose: a mass with a rate too, if it is in no bag and the drug not given as a drip."""
        if step.way == "dose" or step.dose is None or step.runs_on:
            return step.way == "dose" and not self._runs_all_day(step, rxcui)
        is_in_bag = CONTAINER.search(f"{self.medication.words} {self.text}")
        return not is_in_bag and not is_given_as_drip(rxcui)

    def _is_given_in_doses(self, rxcui: str) -> bool:
        """Whether it is given in doses, each within an hour: no bag, nor a bare mass of what runs as a drip."""
        doses = [step for step in self.steps if step.way == "dose" and (step.hours or 0.0) <= 1.0]
        is_dose = self.is_often or not is_given_as_drip(rxcui)
        return (
            self.dose.single
            or (self.is_often and not self.steps)
            or any(
                step.single or step.is_at_once or step.rates or step.hours or (is_dose and not step.is_bag)
                for step in doses
            )
        )

    def per_hour(self, row: Limit) -> float | None:
        """Return the most that the order says to run in an hour, in the unit of the row; None where it does not say.

        A limit of drips measures what the patient gets in an hour, and one of the rate at which a drip begins its
        least: where that can hardly be meant, the most is told.
        """
        measure, is_drip = self.measure(row), row.population in DRIPS
        speeds = [step.in_an_hour(measure) if is_drip else step.speed(measure) for step in self.steps]
        least_of_start = (row.ten_fold_from or row.most) if row.population == "drip start" else 0.0
        return max((most if least >= least_of_start else least for least, most in filter(None, speeds)), default=None)

    def _fits_weight(self, row: Limit) -> bool:
        """Whether the row is for this weight; a row for a weight is for nobody whose weight is not known."""
        if row.weight_from_kg is None and row.weight_to_kg is None:
            return True
        weight = self.weight_kg
        return weight is not None and (row.weight_from_kg or 0.0) <= weight <= (row.weight_to_kg or math.inf)


def _alarm_of_day(rows: Iterable[Limit], weight_kg: float | None) -> list[Limit]:
    """Return the most of a day by mouth: no limit of what runs, but an alarm far over it and over what any row allows.

    None where a row limits a rate, which then measures it.
    """
    of_adult = [row for row in rows if row.is_for_adults and row.unit == "mg" and not (row.per_area or row.per_week)]
    days = [row for row in of_adult if not (row.per_dose or row.per_kg or row.condition or row.setting)]
    days = [row for row in days if row.population != "first order"]
    if not days or any(row.per_hour for row in of_adult):
        return []
    weight = weight_kg or ANALYTES["body_weight"].plausible_high
    most = max(days, key=lambda row: row.most)
    times = TEN_FOLD if most.is_lead or most.is_wide else TEN_FOLD_NARROW
    allowed = max(row.most * (weight if row.per_kg else 1.0) for row in of_adult)
    return [replace(most, is_firm=False, is_alarm=True, ten_fold_from=max(times * most.most, allowed))]


def _is_cap(row: Limit) -> bool:
    """Whether an adult's maximum holds for a child whose own rows are for each kilogram: no child is given more."""
    is_amount = not (row.per_kg or row.per_area) and row.population != "first order"
    return row.is_for_adults and is_amount and not row.setting


def _is_for_more(row: Limit) -> bool:
    """Whether a row of older children tells something of a younger one: a first dose for each kilogram does not."""
    return not (row.per_kg and row.population == "first order")


def is_given_as_drip(rxcui: str) -> bool:
    """Whether rows limit what of the drug runs into a vein."""
    return any(row.is_of_drips for row in LIMITS.get(rxcui, ()))


def _says_an_hour(step: Administration, row: Limit) -> bool:
    """Whether a step says what runs in an hour; how fast one dose is given is nothing for a limit of drips."""
    return bool(step.rates or (step.hours and row.population not in DRIPS))


def limits_of(medication: MedicationIdentity) -> int:
    """How many limits there are for the drug by its route and, where that is known, its form, at any age."""
    return len(ages_of_limits(medication))


def ages_of_limits(medication: MedicationIdentity) -> tuple[range, ...]:
    """Return the ages of these limits but those of an order that is given once, because most orders are not.

    Nor those of a product by words that this one does not have, such as viscous lidocaine.
    """
    words = f"{medication.dose_form} {medication.words}"
    rows = (row for rxcui in medication.rxcuis for row in limits_of_route(rxcui, medication))
    return tuple(
        row.ages
        for row in rows
        if not (row.population == "one dose" or row.condition or row.per_hour)
        and _fits_form(row.form, medication) is not False
        and not (row.setting in WORDS and not says(row.setting, words))
    )
