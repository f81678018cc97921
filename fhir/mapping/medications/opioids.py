"""The opioid dose of an order in milligrams of oral morphine a day (MME), and its share of a dose that makes tolerant.

The factors are those of the CDC guideline of 2022 (tables/opioids.csv): CDC Clinical Practice Guideline for Prescribing
Opioids for Pain, MMWR Recomm Rep 2022;71(3), conversion table. They are for the risk of a dose, never for changing one
opioid to another. What is not in the table has no factor: buprenorphine by purpose, meperidine, levorphanol,
pentazocine, butorphanol, opium, dihydrocodeine and fentanyl other than a patch because no factor was published.

Source of the calculation: shared/data/medications/rules/opioid.json, tables mme_2022 and opioid_tolerant: strength
times units times the most doses a day; a range counts at its upper end, as needed at its most; a patch is mcg/h times
2.4 whatever its change. Injected opioids and buprenorphine are not counted; what has no factor is named and never
guessed.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from fhir.mapping.medications.daily_dose import DailyDose
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.medications.sig import NO_DOSE
from fhir.terminology.medications import CLASS_MEMBERS, Ingredient, table_rows

FENTANYL = "4337"
METHADONE = "6813"
TOLERANT_MME = 60.0
"""Milligrams of oral morphine a day that make tolerant (class definition of the ER/LA opioid labels)."""


class OpioidFactor(Struct, frozen=True, gc=False):
    """Milligrams of morphine for each milligram ("mg") or each mcg/h worn; the daily dose that makes tolerant."""

    factor: float
    per: Literal["mg", "mcg/h"]
    tolerance: float


OPIOID_FACTORS: Final[Mapping[str, OpioidFactor]] = {
    row["rxcui"]: OpioidFactor(
        float(row["factor"]),
        row["per"],  # type: ignore[arg-type]  # our own table
        float(row["tolerance_mg"] or TOLERANT_MME / float(row["factor"])),
    )
    for row in table_rows("opioids.csv")
}
"""The factors by RxNorm ingredient code; of an opioid whose label names no tolerance, the equianalgesic dose."""


def is_opioid(rxcui: str) -> bool:
    """Whether the ingredient is an opioid agonist, partial ones included."""
    return rxcui in CLASS_MEMBERS["opioid"]


def is_partial_agonist(rxcui: str) -> bool:
    """Whether it is a partial agonist such as buprenorphine."""
    return rxcui in CLASS_MEMBERS["opioid_partial_agonist"]


# Never counted: a partial agonist without a factor, and one that is only injected.
_NEVER_COUNTED = frozenset({"1819", "7238"})
_MICROGRAMS_AN_HOUR = 1000.0 / 24.0
_PATCH = re.compile(r"transderm|patch|ptch", re.IGNORECASE)
# The factors are those of the mouth (and of the fentanyl patch).
_OTHER_ROUTE = re.compile(r"rectal|suppositor|buccal|sublingual|lozenge|nasal|film|oralet|transmucosal", re.IGNORECASE)


class OpioidDose(Struct, frozen=True, gc=False):
    """One opioid ingredient of an order: `mme` a day from `low` to `high`, or why it is not known (`problem`).

    `tolerance_low` and `tolerance_high` are shares of the daily dose that makes tolerant (1 is enough).
    """

    ingredient: Ingredient
    low: float | None = None
    high: float | None = None
    tolerance_low: float = 0.0
    tolerance_high: float = 0.0
    problem: str | None = None


def opioid_doses(identity: MedicationIdentity, dose: DailyDose, *, injected: bool) -> tuple[OpioidDose, ...]:
    """Return the opioids of an order; empty for one that has none or whose opioids are not counted."""
    if injected:
        return ()
    return tuple(
        _opioid_dose(ingredient, identity, dose)
        for ingredient in identity.ingredients
        if is_opioid(ingredient.rxcui) and ingredient.rxcui not in _NEVER_COUNTED
    )


def is_patch(identity: MedicationIdentity) -> bool:
    """Whether it is worn on the skin and acts on the whole body."""
    if any(strength is not None and strength.per == "h" for strength in identity.strengths):
        return True
    return _PATCH.search(f"{identity.dose_form} {identity.route} {identity.words}") is not None


def _opioid_dose(ingredient: Ingredient, identity: MedicationIdentity, dose: DailyDose) -> OpioidDose:
    factor = OPIOID_FACTORS.get(ingredient.rxcui)
    problem = _no_factor(ingredient, factor, identity)
    if factor is None or problem is not None:
        return OpioidDose(ingredient, problem=problem)
    daily = dose.daily(ingredient.rxcui)
    if daily is None:
        problem = str(dose.problem or NO_DOSE)
        if is_patch(identity) and problem == str(NO_DOSE):
            problem = "the number of patches is not stated"
        return OpioidDose(ingredient, problem=f"{ingredient.name}: {problem}")
    to_unit = _MICROGRAMS_AN_HOUR if factor.per == "mcg/h" else 1.0
    # 0.075 mg an hour is 75 mcg an hour and 180 MME, not 179.99999999999997, which is below a limit of 180.
    low, high = round(daily.low * to_unit, 6), round(daily.high * to_unit, 6)
    mme_low, mme_high = round(low * factor.factor, 6), round(high * factor.factor, 6)
    return OpioidDose(ingredient, mme_low, mme_high, low / factor.tolerance, high / factor.tolerance)


def _no_factor(ingredient: Ingredient, factor: OpioidFactor | None, identity: MedicationIdentity) -> str | None:
    if factor is None:
        return f"{ingredient.name} has no factor in the CDC 2022 table"
    if ingredient.rxcui == FENTANYL:
        return None if is_patch(identity) else "fentanyl other than a patch has no factor in the CDC 2022 table"
    sentence = f"{identity.dose_form} {identity.route}"
    if is_patch(identity) or _OTHER_ROUTE.search(sentence):
        return f"{ingredient.name} by this route has no factor in the CDC 2022 table"
    return None
