"""Diseases and values that forbid a drug: the placeholders that only these rules use."""

from collections.abc import Sequence

from cards.rules.engine.family import Family, Placeholder
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import dated

_RECENT_DAYS = 30
_GLUCOSE_DAYS = 7


def _lab(analyte: str, limits: Sequence[float], days: float = _RECENT_DAYS) -> Placeholder:
    """The newest value of so many days with its date, never rounded across a limit."""

    def word(context: RuleContext) -> str | None:
        found = context.session.lab(analyte, days)
        return dated(found, limits) if found is not None else None

    return word


FAMILY = Family(
    "disease",
    placeholders={
        "potassium": _lab("potassium", [3.0, 3.5, 5.0, 5.5]),
        "sodium": _lab("sodium", [125, 130]),
        "platelets": _lab("platelets", [50]),
        "digoxin_level": _lab("digoxin_level", [2.0]),
        "qtc": _lab("qtc", [450, 500]),
        "glucose": _lab("glucose", [54, 70], _GLUCOSE_DAYS),
    },
    longest={
        "potassium": "potassium 5.05 mmol/L on 2026-11-20",
        "sodium": "sodium 124.5 mmol/L on 2026-11-20",
        "platelets": "platelets 49.95 ×10³/µL on 2026-11-20",
        "digoxin_level": "Digoxin level 2.01 ng/mL on 2026-11-20",
        "qtc": "QTc 500.5 ms on 2026-11-20",
        "glucose": "glucose 69.95 mg/dL on 2026-11-20",
    },
)
