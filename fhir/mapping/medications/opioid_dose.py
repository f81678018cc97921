"""The opioid dose of an order in milligrams of oral morphine a day (MME), and its share of a dose that makes tolerant.

Source: shared/data/medications/rules/opioid.json, tables mme_2022 and opioid_tolerant: strength times units times the
most doses a day; a range counts at its upper end, as needed at its most; a patch is mcg/h times 2.4 whatever its
change. Injected opioids and buprenorphine are not counted; what has no factor is named and never guessed."""

import re

from msgspec import Struct

from fhir.mapping.medications.daily_dose import DailyDose
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.medications import Ingredient
from fhir.terminology.opioids import FENTANYL, OpioidFactor, is_opioid, opioid_factors

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
    """The opioids of an order; empty for one that has none or whose opioids are not counted."""
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
    return _PATCH.search(f"{identity.dose_form or ''} {identity.route or ''} {identity.words}") is not None


def _opioid_dose(ingredient: Ingredient, identity: MedicationIdentity, dose: DailyDose) -> OpioidDose:
    factor = opioid_factors().get(ingredient.rxcui)
    problem = _no_factor(ingredient, factor, identity)
    if factor is None or problem is not None:
        return OpioidDose(ingredient, problem=problem)
    daily = dose.daily(ingredient.rxcui)
    if daily is None:
        return OpioidDose(ingredient, problem=f"{ingredient.name}: {dose.problem or 'the dose is not stated'}")
    to_unit = _MICROGRAMS_AN_HOUR if factor.per == "mcg/h" else 1.0
    low, high = daily.low * to_unit, daily.high * to_unit
    return OpioidDose(
        ingredient, low * factor.factor, high * factor.factor, low / factor.tolerance, high / factor.tolerance
    )


def _no_factor(ingredient: Ingredient, factor: OpioidFactor | None, identity: MedicationIdentity) -> str | None:
    if factor is None:
        return f"{ingredient.name} has no factor in the CDC 2022 table"
    if ingredient.rxcui == FENTANYL:
        return None if is_patch(identity) else "fentanyl that is no patch has no factor in the CDC 2022 table"
    said = f"{identity.dose_form or ''} {identity.route or ''}"
    if is_patch(identity) or _OTHER_ROUTE.search(said):
        return f"{ingredient.name} by this route has no factor in the CDC 2022 table"
    return None
