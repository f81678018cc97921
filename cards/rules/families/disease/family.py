"""Declares what the rules about diseases and values that forbid a drug use beside the common words.

The rules are the JSON files beside it, their rows the tables; `cards/rules/engine/family.py` says what a family is.
"""

from cards.rules.engine.family import Family, Placeholder
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import dated
from cards.text import capitalized

_GAS_DAYS, _POTASSIUM_DAYS = 30, 30


def _with_pco2(context: RuleContext) -> str:
    """Return the value after " with ", and nothing where no value is known."""
    measurement = context.session.lab("pco2_arterial", _GAS_DAYS)
    return f" with {dated(measurement)}" if measurement is not None else ""


def _enough_potassium(context: RuleContext) -> str:
    measurement = context.session.lab("potassium", _POTASSIUM_DAYS)
    return f"{capitalized(dated(measurement))} is not low: consider none." if measurement is not None else ""


FAMILY = Family(
    "disease",
    placeholders={
        "enough_potassium": Placeholder(_enough_potassium),
        "with_pco2": Placeholder(_with_pco2, " with pCO2 48.755 mm[Hg] on 2026-11-20"),
    },
)
