"""How far a dose is over a limit, and whether that is a rounding, too much, or can hardly be meant."""

from msgspec import Struct

from cards.rules.families.dose.knowledge import Limit
from cards.rules.patient.orders import CurrentMedication
from fhir.terminology.medications import INGREDIENT_ROWS

TOLERANCE = 1e-6
"""What is over by less than this is a rounding of the product."""
FAR_OVER = 2.0
"""A dose over so many times a limit that is not a firm maximum is taken for an error of writing."""
FAR_OVER_PER_KG = 1.5
"""The same of a limit for each kilogram, which is mostly that of a child."""
FAR_OVER_PER_AREA = 1.25
"""The same of a cytostatic drug, for each square metre or not."""
FAR_OVER_LEAD = 5.0
"""The same of a maximum that was read on no label: a ten-fold error of half the maximum, a usual dose, makes it."""
FAR_OVER_LEAD_PER_KG = 3.0
"""The same of such a maximum for each kilogram: a child's usual dose lies at a third of it, or nearer."""
TOLD_LEAD = 3.0
"""An adult's dose over so many times it is told as information: a ten-fold error of a third of it makes it."""
ROUNDING = 1.05
"""A dose under so many times a limit that is not a firm maximum is taken for a rounding to whole units or vials."""
ROUNDING_PER_KG = 1.1
"""The same of a dose by weight, which is rounded to the syringe or vial."""
ROUNDING_FIRST = 2.0
"""The same of the usual first dose, with which many begin twice as high."""
FAR_OVER_TARGET = 3.0
"""The same of a target or the usual first dose: many are given twice as much."""
TEN_FOLD = 10.0
"""A dose of so many times a maximum, whatever its source, can hardly be meant."""
TEN_FOLD_NARROW = 5.0
"""The same of a drug with a narrow range, and of a label's maximum: a ten-fold error of a usual dose makes it."""
TEN_FOLD_FIRST = 50.0
"""The same of a child's first dose: where the list is not complete, the order may be what it was raised to."""


def is_of_cytostatic(rxcui: str) -> bool:
    """Whether all uses of a drug are against cancer (ATC L01)."""
    atc = INGREDIENT_ROWS[rxcui].atc if rxcui in INGREDIENT_ROWS else ()
    return bool(atc) and all(code.startswith("L01") for code in atc)


class Excess(Struct, frozen=True):
    """A maximum dose that is exceeded: `amount` in the unit of the limit, `beside` what it adds up with."""

    limit: Limit
    amount: float
    beside: tuple[CurrentMedication, ...]
    of_adult: bool = False
    """The patient is a child and the limit that of adults: no row is about children of this age."""
    is_least: bool = False
    """The ordered mass is of a combination; the amount is what it is at least of this ingredient."""
    largest_kg: float | None = None
    """No weight is known: the amount is that at the largest plausible weight of the age."""
    largest_m2: float | None = None
    """No body surface is known: the amount is that at the largest plausible one."""
    is_one_dose: bool = False
    """The order does not say how often: one dose alone is over what a day or a week may have."""
    has_open_end: bool = False
    """A drip follows a dose, and nobody says how long it runs: the amount is that of a whole day."""
    lightest_kg: float | None = None
    """No weight is known of an order by weight: the amount is at least that of so light an adult."""

    @property
    def times(self) -> float:
        """How many times the limit it is."""
        return self.amount / self.limit.most * (1.0 + TOLERANCE)

    @property
    def is_firm(self) -> bool:
        """Whether the source gives a maximum and no target; that of adults is firm for a child, too.

        For each kilogram it is not: small children may be given more of it.
        """
        return self.limit.is_firm and not (self.of_adult and self.limit.per_kg)

    @property
    def is_far_over(self) -> bool:
        """Whether it is so far over that it can hardly be meant, whatever the source of the limit."""
        if self.limit.is_alarm or self.limit.is_usual_start:
            return self.is_ten_fold
        if self.largest_kg is not None and not self.limit.is_lead:
            return True
        if self.limit.is_lead:
            return self.times >= (FAR_OVER_LEAD_PER_KG if self.limit.per_kg else FAR_OVER_LEAD)
        # What adults are usually given is the most of a day for a child, too: only adults may get up to twice that.
        if self.of_adult and self.limit.population != "first order":
            return self.times >= (FAR_OVER if self.limit.per_kg else ROUNDING)
        is_of_patient = not self.limit.per_kg and self.limit.population != "first order"
        is_toxic = self.limit.per_area or (is_of_patient and is_of_cytostatic(self.limit.rxcui))
        if is_toxic and not self.limit.is_wide:
            return self.times >= FAR_OVER_PER_AREA
        if self.limit.per_kg and not self.limit.is_wide and self.limit.population != "first order":
            return self.times >= FAR_OVER_PER_KG
        is_first = self.limit.population == "first order" and not self.limit.is_narrow
        is_target = (
            (self.limit.is_wide or is_first or bool(self.limit.condition))
            and not self.limit.per_kg
            and not self.is_least
        )
        return self.times >= (FAR_OVER_TARGET if is_target else FAR_OVER)

    @property
    def is_slight(self) -> bool:
        """Whether it is so little over a limit that is not a firm maximum that nothing is to be said."""
        if self.is_far_over or self.is_ten_fold:
            return False
        if self.is_firm and not self.has_open_end:
            return self.limit.per_kg and self.times < ROUNDING  # "3 mL" of a syringe that has no 2.94 mL
        if self.has_open_end or (self.of_adult and self.limit.per_kg and not self.limit.is_for_adults):
            return True
        if self.limit.is_usual_start and self.limit.is_lead:
            return self.times < FAR_OVER_LEAD
        rounding = ROUNDING_PER_KG if self.limit.per_kg else ROUNDING
        least = ROUNDING_FIRST if self.limit.population == "first order" else rounding
        if self.limit.is_usual:  # vancomycin by weight
            return self.amount <= FAR_OVER * self.limit.most * (1.0 + TOLERANCE)
        is_rounding = self.amount < least * self.limit.most * (1.0 + TOLERANCE)
        if self.limit.is_lead and not self.limit.is_alarm:  # insulin and drips are titrated, children's doses rounded
            is_of_child = self.limit.per_kg and not self.limit.is_for_adults
            return self.times < TOLD_LEAD or is_of_child or self.limit.per_hour or self.limit.unit != "mg"
        return self.limit.is_alarm or is_rounding

    @property
    def is_ten_fold(self) -> bool:
        """Whether it is so far over that it is mostly an error of unit, decimal point or number."""
        limit, is_first = self.limit, self.limit.population == "first order"
        if limit.is_usual_start:
            return False
        if limit.ten_fold_from is not None:
            return self.amount * (1.0 + TOLERANCE) >= limit.ten_fold_from
        if is_first and limit.per_kg:
            return self.times >= TEN_FOLD_FIRST
        is_lead_of_dose = limit.is_lead and not limit.per_kg
        is_low = (limit.is_narrow and not is_first) or not (is_lead_of_dose or limit.is_wide or is_first)
        return self.times >= (TEN_FOLD_NARROW if is_low else TEN_FOLD)

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, float]:
        """Which of several is told first."""
        is_maximum = self.limit.population != "first order"
        is_ten_fold = self.is_ten_fold and (is_maximum or self.limit.is_alarm)
        return is_ten_fold, not self.limit.is_lead, self.is_firm or self.is_far_over, is_maximum, self.times
