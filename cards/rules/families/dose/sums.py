"""What the patient would get of a drug, and which maximum dose that goes over.

The daily dose is the sum of the draft and of what is taken beside it. The order that the draft renews, one whose dose
it raises, and another order of the same product are replaced by it and do not count.
"""

import math
import re
from functools import cached_property
from typing import Final
from weakref import proxy

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.families.dose.excess import TEN_FOLD, TOLERANCE, Excess, is_of_cytostatic
from cards.rules.families.dose.knowledge import ADULT_YEARS, LIMITS, PLAUSIBLE_DOSES, WORDS, Limit, PlausibleDose, says
from cards.rules.families.dose.rows import OrderedDose
from cards.rules.patient.alternatives import are_taken_by_turns
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication, DraftMedication, is_beside, is_other_name
from fhir.mapping.medications.administration import PRODUCT_UNITS, Measure, in_a_day
from fhir.mapping.medications.daily_dose import instructions_of, moments_of_day
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.medications.sig_frequency import normalise_sig
from fhir.mapping.stays import is_inpatient
from fhir.mapping.weights import largest_plausible_kg
from fhir.terminology.analytes import ANALYTES

TIMES_RECOMMENDED = 3.0
"""A dose over so many times FDA's recommended maximum is taken for an error of writing."""
# FDA's figures are for each kilogram; children are given up to two or three times as much for each.
TIMES_RECOMMENDED_FOR_CHILD = 4.0
_FDA_WEIGHT_KG = 60.0


class Implausible(Struct, frozen=True):
    """A daily dose in mg that is far over FDA's recommended maximum, for a child that of the weight (`weight_kg`)."""

    row: PlausibleDose
    rxcui: str
    amount: float
    recommended_mg_day: float
    weight_kg: float | None = None

    @property
    def times(self) -> float:
        """How many times the recommended maximum it is."""
        return self.amount / self.recommended_mg_day * (1.0 + TOLERANCE)


class DraftDose(OrderedDose):
    """What the patient would get of a draft with what is taken beside it, and the limits that this goes over."""

    def _beside(self, rxcui: str) -> list[tuple[CurrentMedication, float | None]]:
        """Return the orders of the ingredient that go on beside the draft, without single doses, and their dose."""
        session, drafted = self.context.session, self.medication
        # Once for all drafts of one product: two hundred of them are not each added up with all others.
        going_on: list[tuple[CurrentMedication, float | None]] = session.derive(
            ("taken beside", rxcui, drafted.rxnorm, drafted.rxcuis, drafted.strengths, drafted.is_slow_release),
            lambda: [
                (use, use.dose.most_a_day(rxcui))
                for use in session.with_key(rxcui)
                if not use.dose.single and (use.drafted is not None or not _is_replaced(drafted, use.medication))
            ],
        )
        draft = self.context.drafted
        return [
            (use, daily_mg)
            for use, daily_mg in going_on
            if is_beside(use, draft)
            and not are_taken_by_turns(draft.order, use.order)
            and not _is_raised(draft, use, daily_mg, rxcui)
        ]

    def total_mg(self, rxcui: str) -> tuple[float | None, bool]:
        """Return milligrams a day with what is beside it (None: the draft's are not known), and whether it is all."""
        if rxcui not in self.totals:
            drafted_mg = self._drafted_mg(rxcui)
            beside = [daily_mg for _, daily_mg in self._beside(rxcui)] if drafted_mg is not None else []
            total = drafted_mg + sum(filter(None, beside)) if drafted_mg is not None else None
            self.totals[rxcui] = total, total is not None and None not in beside
        return self.totals[rxcui]

    def _is_by_score(self, rxcui: str) -> bool:
        """Whether a score decides each time if it is given, and a row limits one dose: nobody knows how many a day."""
        is_graded = self.dose.as_needed and says("graded", self.text)
        return is_graded and any(row.per_dose and not row.per_kg for row, _ in self.rows[rxcui])

    def _drafted_mg(self, rxcui: str) -> float | None:
        """Return milligrams a day, and of what is given by a score one dose."""
        single_dose = self.dose.per_dose_of(rxcui) if self._is_by_score(rxcui) else None
        return single_dose.high if single_dose is not None else self.dose.most_a_day(rxcui)

    # Maximum doses

    @cached_property
    def _excesses(self) -> tuple[list[Excess], bool]:
        """Every excess over a maximum dose, and whether something that matters is not known."""
        excesses: list[Excess] = []
        is_unknown = self.is_only_swallowed or not any(self.limits.values())
        for rxcui, rows in self.rows.items():
            # Without the age, which chooses the limits, nothing is known, unless any age chooses the same.
            of_route = self.of_route[rxcui] if self.context.age_years is None else ()
            if of_route and self.age_for(of_route) is None:
                is_unknown = True
                continue
            for row, of_adult in rows:
                excess = self._excess(row, of_adult)
                is_unknown = is_unknown or (excess is None and not of_adult and not self._is_measured_otherwise(row))
                if isinstance(excess, Excess):
                    excesses.append(excess)
        return excesses, is_unknown

    @property
    def is_unknown(self) -> bool:
        """Whether something that matters for a maximum dose is not known."""
        return self._excesses[1]

    @cached_property
    def excess(self) -> Excess | None:
        """The worst excess over a maximum dose of which something is to be said."""
        told = [excess for excess in self._excesses[0] if not excess.is_slight]
        return max(told, key=lambda excess: excess.rank, default=None)

    @property
    def is_slight(self) -> bool:
        """Whether it is so little over a limit, or over a lead, that nothing is to be said: it is not denied either."""
        return self.excess is None and bool(self._excesses[0])

    @cached_property
    def not_compared(self) -> tuple[str, ...]:
        """The ingredients of a child's draft that have limits, none of which is for its route, age and weight."""
        known = [rxcui for rxcui in self.limits if rxcui in LIMITS] if self.is_child else []
        limited = [rxcui for rxcui in known if self.of_route[rxcui]] or known
        return tuple(LIMITS[rxcui][0].drug for rxcui in limited if not self._is_compared(rxcui))

    def _is_compared(self, rxcui: str) -> bool:
        return any(
            self._is_for_this_weight(row) and self._amount(row)[0] is not None and self._is_meant(row)
            for row, of_adult in self.rows[rxcui]
            if not of_adult
        )

    def _is_for_this_weight(self, row: Limit) -> bool:
        """Whether a child's limit is for its weight: not an amount for newborns and schoolchildren alike.

        A page that is no label (a lead) must name the children of school age or few years for it.
        """
        is_by_weight = row.per_kg or row.per_area or row.weight_from_kg is not None or row.weight_to_kg is not None
        if is_by_weight or (self.context.age_years or 0) >= _AS_HEAVY_AS_GROWN_YEARS:
            return True
        return row.ages.start >= (6 if row.is_lead else 1) or len(row.ages) <= (5 if row.ages.start else 2)

    def _per_area(self, amount: float | None, unit: str) -> tuple[float | None, bool]:
        """Return the amount for each square metre: as the order says it, with the body surface, or the largest one.

        The second value is whether that is all of it.
        """
        stated = self._stated_per_area(unit)
        known = body_surface_m2(self.context)
        area = known or _largest_m2(self.context)
        is_whole = bool(stated) or known is not None
        if amount is not None and area is not None:
            stated.append(amount / area)
        return max(stated, default=None), is_whole

    def _stated_per_area(self, unit: str) -> list[float]:
        """Return the milligrams or units for each square metre that the order names."""
        dosages = instructions_of(self.context.drafted.order)
        texts = [normalise_sig(dosage.text[:500]) for dosage in dosages]
        quantities = [part.doseQuantity for dosage in dosages for part in dosage.doseAndRate]
        texts += [f"{part.value} {part.code or part.unit}" for part in quantities if part is not None]
        return [
            float(match["count"].replace(",", ".")) * (1000.0 if match["unit"].lower() == "g" else 1.0)
            for match in _PER_AREA.finditer(" ".join(texts))
            if match["unit"].lower().startswith("u") is (unit == "unit")
        ]

    def _excess(self, row: Limit, of_adult: bool) -> Excess | bool | None:
        """Return the excess over this row; False where there is none or it is not meant, None if that is not known."""
        amount, is_whole = self._amount(row)
        if amount is None:
            return None
        if amount <= row.most * (1.0 + TOLERANCE):
            return False if is_whole else None
        is_once_too = amount >= TEN_FOLD * row.most and not (row.is_lead or is_of_cytostatic(row.rxcui))
        is_meant = self._is_meant(row, is_once_too=is_once_too)
        if is_meant is not True:
            return is_meant
        is_alone = row.per_dose or row.unit != "mg"
        is_least = row.unit == "mg" and self.dose.daily(row.rxcui) is None
        has_open_end = self._has_open_end(row)
        is_one_dose = is_least and not (is_whole or row.per_dose or row.per_hour or has_open_end)
        is_of_combination = is_least and bool(self.dose.least_per_dose)
        return Excess(
            row,
            amount,
            () if is_alone or is_least else tuple([use for use, daily_mg in self._beside(row.rxcui) if daily_mg]),
            of_adult,
            is_of_combination,
            _largest_kg(self.context) if row.per_kg and not (self.weight_kg or self.is_by_weight) else None,
            _largest_m2(self.context) if row.per_area and body_surface_m2(self.context) is None else None,
            (is_one_dose and not is_of_combination) or (not is_alone and self._is_by_score(row.rxcui)),
            has_open_end,
            self.lightest_kg(row),
        )

    def _has_open_end(self, row: Limit) -> bool:
        """Whether the limit of a day is passed only by a drip after a first dose, and nobody says how long it runs."""
        steps = self.steps
        if row.per_dose or row.per_hour or row.per_kg or len(steps) < 2 or steps[-1].way != "drip" or steps[-1].hours:
            return False
        stated, _ = in_a_day(steps[:-1], self.measure(row))
        return stated is not None and stated <= row.most

    def _amount(self, row: Limit) -> tuple[float | None, bool]:
        """Return what the row limits, in its unit, and whether that is all of it."""
        if row.per_hour:
            return self.per_hour(row), self.lightest_kg(row) is None
        if row.population == "first order" and (begun := self._begun_with(row)) is not None:
            return begun, True
        if row.per_dose and self._is_no_dose(row):
            return None, False
        amount, is_whole = self._dose_or_day(row)
        if row.per_area:
            return self._per_area(amount, row.unit)
        if amount is None and row.unit == "mg" and row.per_dose:
            surface, for_each_m2 = body_surface_m2(self.context), self._stated_per_area(row.unit)
            amount, is_whole = (max(for_each_m2) * surface, True) if surface and for_each_m2 else (None, False)
            caps = [most.high for most in self.dose.most_per_dose if most.rxcui == row.rxcui]
            amount = min(amount, *caps) if amount is not None and caps else amount
        if amount is not None and row.per_week and not self.dose.single:
            amount *= 7.0
        if amount is None:
            measure = self.measure(row)
            amount, is_whole = self._of_steps(row, measure)
            if amount is not None or not row.per_kg:
                return amount, is_whole
            amount, is_whole = self._of_steps(row, replace(measure, per_kg=False))
        if amount is not None and row.per_kg:
            if self.weight_kg:
                return amount / self.weight_kg, is_whole
            largest = _largest_kg(self.context)
            return (amount / largest, False) if largest is not None else (None, False)
        return amount, is_whole

    def _begun_with(self, row: Limit) -> float | None:
        """Return what the first of several steps gives, in one dose or a day: it is begun with that and then raised."""
        dose, steps = self.dose, self.steps
        if dose.is_raised and row.unit == "mg":
            begun = dose.per_dose_of(row.rxcui) if row.per_dose else dose.daily(row.rxcui)
            for_each = self.weight_kg if row.per_kg else 1.0
            return begun.low / for_each if begun is not None and for_each and not dose.as_needed else None
        is_begun = len(steps) > 1 or (bool(steps) and dose.is_raised)
        given = steps[0].given(self.measure(row)) if is_begun and steps[0].way == "dose" else None
        return given * (1.0 if row.per_dose else steps[0].times or 1.0) if given is not None else None

    def _is_no_dose(self, row: Limit) -> bool:
        """Whether a limit of one dose has nothing to measure; of a cytostatic drug what runs for days is one dose."""
        return not is_of_cytostatic(row.rxcui) and self.has_no_dose(row.rxcui)

    def _dose_or_day(self, row: Limit) -> tuple[float | None, bool]:
        """Return one dose or the sum of a day as far as the order says it, in the unit of the row."""
        dose = self.dose
        if row.unit != "mg":
            activity = dose.activity if dose.activity is not None and dose.activity.unit == row.unit else None
            return (activity.per_dose if row.per_dose else activity.per_day) if activity is not None else None, True
        if row.per_dose:
            single_dose = dose.per_dose_of(row.rxcui)
            amount, is_whole = single_dose.high if single_dose is not None else None, True
        else:
            amount, is_whole = self.total_mg(row.rxcui)
        if amount is not None:
            return amount, is_whole
        least = dose.least_per_dose if row.per_dose else dose.least_per_day
        return next((mass.high for mass in least if mass.rxcui == row.rxcui), None), False

    def _of_steps(self, row: Limit, measure: Measure) -> tuple[float | None, bool]:
        """Return the largest dose of the steps of an order, or what they give in a day; of a product in a week."""
        if row.per_week and measure.unit in PRODUCT_UNITS:
            weeks = [(step.given(measure), 7.0 * (step.times or 0.0)) for step in self.steps]
            return max((given * times for given, times in weeks if given and times), default=None), True
        if not row.per_dose:
            return self._least_in_a_day(measure)
        doses = [step.given(measure) for step in self.steps if self.is_dose(step, row.rxcui)]
        return max((dose for dose in doses if dose is not None), default=None), False

    def _is_measured_otherwise(self, row: Limit) -> bool:
        """Whether the order is read in what other rows limit: a drip by its rate and no dose, mEq and no mmol."""
        activity = self.dose.activity
        if row.unit != "mg" and activity is not None and activity.unit != row.unit:
            return any(limit.unit == activity.unit for limit in LIMITS[row.rxcui])
        if row.unit in PRODUCT_UNITS and self.dose.daily(row.rxcui) is not None:
            return any(limit.unit == "mg" for limit, _ in self.rows[row.rxcui])
        is_rate = row.per_dose and not row.per_hour and self._is_no_dose(row)
        return is_rate and any(step.speed(self.measure(row)) for step in self.steps)

    def _least_in_a_day(self, measure: Measure) -> tuple[float | None, bool]:
        """Return what the steps give in a day where frequency or end are not said, and whether that is all.

        One dose at least, and none where the order says how often: then something else of it is not known.
        """
        if measure.unit in PRODUCT_UNITS:
            return in_a_day(self.steps, measure) if all(step.times for step in self.steps) else (None, False)
        if any(step.way == "drip" for step in self.steps):
            return in_a_day(self.steps, measure)
        if self.is_often or self.dose.single:
            return in_a_day(self.steps, measure) if self.is_by_weight else (None, False)
        given = self.dose.per_dose_of(measure.rxcui) if measure.unit == "mg" and not measure.per_kg else None
        if given is not None:
            return given.high, False
        return (in_a_day(self.steps, measure)[0], False) if len(self.limits) == 1 else (None, False)

    def _is_meant(self, row: Limit, *, is_once_too: bool = False) -> bool | None:
        """Whether condition, setting and population are those of the row; `is_once_too`: no single dose is so high."""
        context = self.context
        if row.setting == "not inpatient" and is_inpatient(context.session.record):
            return False
        if not self._has_words_of(row):
            return False
        is_often = is_once_too or (self.is_often and not self.dose.single)
        if row.population in ("continued", "daily") and not is_often:
            return False
        if row.population == "daily" and not is_once_too and (context.times_per_week or 0.0) < 5.0:
            return False
        if row.population == "first order" and (context.new_start is not True or self._is_later_step(row.rxcui)):
            return False
        if context.session.medications_beside(context.drafted, row.without_taken):
            return False
        if row.without_condition and context.has_condition(row.without_condition) is not False:
            return False
        return context.has_condition(row.condition) if row.condition else True

    def _has_words_of(self, row: Limit) -> bool:
        """Whether the order says what the setting of the row names, or does not where that is excluded."""
        words = row.setting.removeprefix("not ")
        return words not in WORDS or says(words, self._words_and_rates()) is not row.setting.startswith("not ")

    def _is_later_step(self, rxcui: str) -> bool:
        """Whether it says that it begins in a later week than another draft of the drug, with which it is begun."""
        uses = self.context.session.with_key(rxcui) if says("later week", self.text) else ()
        return any(use.drafted is not None and use.drafted is not self.context.drafted for use in uses)

    def _words_and_rates(self) -> str:
        parts = (part for dosage in instructions_of(self.context.drafted.order) for part in dosage.doseAndRate)
        units = (part.rateQuantity.code or part.rateQuantity.unit for part in parts if part.rateQuantity is not None)
        return " ".join([self.medication.words, self.text, *units])

    @cached_property
    def under_tenth(self) -> Excess | None:
        """The nearest limit for each kilogram where a child's dose is under a tenth of each of them.

        A single dose is left out, because a test dose is small, and so is a combination.
        """
        if not self.is_child or self.weight_kg is None or self.dose.single or len(self.limits) != 1:
            return None
        (about,) = self.rows.values()
        rows = [row for row, of_adult in about if row.per_kg and not (of_adult or row.condition)]
        doses = [Excess(row, amount, ()) for row in rows if (amount := self._amount(row)[0])]
        nearest = max(doses, key=lambda dose: dose.times, default=None)
        is_under = nearest is not None and len(doses) == len(rows) and nearest.times < _UNDER
        return nearest if is_under else None

    @cached_property
    def wants_weight(self) -> bool:
        """Whether the drug has limits for each kilogram, this is a child, and no weight is known that can be used."""
        if self.weight_kg is not None or largest_plausible_kg(self.context.session.record) is None:
            return False
        return any(row.per_kg and self._has_words_of(row) for rows in self.of_route.values() for row in rows)

    @cached_property
    def labelled_from(self) -> Limit | None:
        """The row that says from which age the drug is labeled, where the patient is younger."""
        age = self.context.age_years
        labelled = [row for rows in self.of_route.values() for row in rows if row.labelled_from is not None]
        return next((row for row in labelled if age is not None and age < (row.labelled_from or 0)), None)

    # Doses that cannot be meant

    @cached_property
    def implausible(self) -> tuple[Implausible | None, bool]:
        """The ingredient with the daily dose furthest over FDA's recommended maximum, and whether one is unknown."""
        # What is injected, or runs in by a rate, is left out: FDA's figures are those of oral use for nearly all drugs.
        # So is a single dose of a drug that has limits of its own: the figures are of what is taken for months, and a
        # loading dose is more.
        implausible_doses: list[Implausible] = []
        is_unknown = False
        is_light = self.is_child and self.weight_kg is not None and self.weight_kg < _FDA_WEIGHT_KG
        weight = self.weight_kg if is_light else None
        times = TIMES_RECOMMENDED if weight is None else TIMES_RECOMMENDED_FOR_CHILD
        runs = any(step.rates for step in self.steps) and not self.medication.dose_form
        for rxcui in () if self.medication.is_injected or runs else self.limits:
            row = PLAUSIBLE_DOSES.get(rxcui)
            limits = [limit for limit, _ in self.rows[rxcui]]
            is_limited = row is not None and not all(
                limit.per_kg or limit.per_week or limit.condition for limit in limits
            )
            if row is None or (self.dose.single and is_limited):
                continue
            amount = self._drafted_mg(rxcui)
            is_unknown = is_unknown or amount is None
            if amount is None and not is_limited:
                amount, _ = self._least_in_a_day(Measure(self.medication, rxcui, "mg", False, self.weight_kg))
            recommended = row.recommended_mg_day * (weight / _FDA_WEIGHT_KG if weight is not None else 1.0)
            # Where a child is given more than that, its own row measures the dose.
            is_measured = self.is_child and self._most_of_child_mg(rxcui) > recommended
            if amount is not None and amount > times * recommended and not is_measured:
                implausible_doses.append(Implausible(row, rxcui, amount, recommended, weight))
        return max(implausible_doses, key=lambda dose: dose.times, default=None), is_unknown

    def _most_of_child_mg(self, rxcui: str) -> float:
        """Return the highest daily dose that a row gives for a child of this age and weight, and 0 where none does."""
        rows = [row for row, of_adult in self.rows[rxcui] if not (of_adult or row.per_dose or row.per_week)]
        weight = self.weight_kg or 0.0
        return max((row.most * (weight if row.per_kg else 1.0) for row in rows if row.unit == "mg"), default=0.0)


def dose_of(context: RuleContext) -> DraftDose:
    """Return what every rule of doses asks of a draft, read once for each draft.

    The session keeps it, so it does not keep the session: a call leaves no cycles to the garbage collector.
    """
    session = context.session
    return session.derive((DraftDose, context.drafted), lambda: DraftDose(replace(context, session=proxy(session))))


def _is_replaced(drafted: MedicationIdentity, current: MedicationIdentity) -> bool:
    if is_other_name(drafted, current):
        return False
    if drafted.rxnorm is not None and drafted.rxnorm == current.rxnorm and drafted.strengths == current.strengths:
        return True
    same_drugs = drafted.rxcuis == current.rxcuis and None not in drafted.strengths
    return same_drugs and drafted.strengths == current.strengths and drafted.is_slow_release is current.is_slow_release


# Of electrolytes, vitamins and laxatives nothing tells that they are already active.
_ADDED: Final = frozenset(
    {"opioid", "opioid_partial_agonist", "anticoagulant", "doac", "heparin", "vka", "nsaid", "insulin"}
    | {"electrolyte_fluid", "potassium", "vitamin", "laxative"}
)
# Acetaminophen, digoxin, lithium, methotrexate; levothyroxine and prednisone are taken in two strengths.
_ADDED_DRUGS: Final = frozenset({"161", "3407", "6448", "6851", "10582", "8640"})


def _is_raised(drafted: DraftMedication, use: CurrentMedication, daily_mg: float | None, rxcui: str) -> bool:
    """Whether the draft is a higher dose of what is taken: in the same words, or in another strength of one drug.

    Two strengths are told as already active. Where both are often meant, or harm soon, they are added up.
    """
    new, old, new_mg = drafted.medication, use.medication, drafted.dose.most_a_day(rxcui)
    if use.drafted is not None or drafted.dose.as_needed is not use.dose.as_needed:
        return False
    if (new.route, new.is_slow_release) != (old.route, old.is_slow_release):
        return False
    moments, moments_before = moments_of_day(drafted.order), moments_of_day(use.order)
    if moments and moments_before and moments.isdisjoint(moments_before):  # 400 mg in the morning, 600 mg at bedtime
        return False
    # "Sertraline, 150 mg daily" is raised to 200 mg; two doses of a painkiller are both given.
    if None in new.strengths:
        is_titrated = "nsaid" not in new.classes and "161" not in new.rxcuis
        return (is_titrated or new_mg == daily_mg) and (new.words, new.strengths) == (old.words, old.strengths)
    is_added = not (_ADDED.isdisjoint(new.classes) and _ADDED_DRUGS.isdisjoint(new.rxcuis))
    if is_added or len(new.rxcuis) != 1 or new.rxcuis != old.rxcuis or is_other_name(new, old):
        return False
    return daily_mg is not None and (new_mg or 0.0) > daily_mg


_AS_HEAVY_AS_GROWN_YEARS = 12


_PER_AREA = re.compile(
    r"(?P<count>\d{1,5}(?:[.,]\d{1,3})?) ?(?P<unit>m?g|units?) ?/ ?m(?:2|²|\^2|\b(?!l|g|in))", re.IGNORECASE
)


def body_surface_m2(context: RuleContext) -> float | None:
    """Body surface (Mosteller 1987) from the weight and the newest height; None where one of them is not known."""
    height, weight = context.session.record.newest("body_height"), context.weight_kg
    return math.sqrt(height.value * weight / 3600.0) if height is not None and weight else None


HEAVIEST_ADULT_KG: Final = 200.0
"""Hardly an adult weighs more: a dose that is over a limit even then asks at least for the weight."""


def _largest_kg(context: RuleContext) -> float | None:
    """Return the largest weight to be expected at this age: what is over a limit at it is over it at any other."""
    if context.age_years is not None and context.age_years >= ADULT_YEARS:
        return HEAVIEST_ADULT_KG
    return largest_plausible_kg(context.session.record)


def _largest_m2(context: RuleContext) -> float | None:
    """Return the body surface of somebody of this weight, or the age's largest, who is as tall as a height may be."""
    weight = context.weight_kg or _largest_kg(context)
    return math.sqrt(ANALYTES["body_height"].plausible_high * weight / 3600.0) if weight else None


_UNDER = 0.1


def plausible_doses_of(medication: MedicationIdentity) -> int:
    """How many ingredients have a recommended maximum; FDA's figures are those of oral use."""
    return 0 if medication.is_injected else sum(rxcui in PLAUSIBLE_DOSES for rxcui in medication.rxcuis)
