"""Numbers as a clinician reads them, never rounded across the limit that they are compared with."""

from collections.abc import Iterable

UNITS = {"mL/min/{1.73_m2}": "mL/min/1.73 m²", "{INR}": "", "10*3/uL": "×10³/µL", "m[IU]/L": "mIU/L"}
"""UCUM units whose sign is not what a clinician writes."""

_MOST_DECIMALS = 6


def show(value: float, limits: Iterable[float] = (), decimals: int = 1) -> str:
    """The number with so many decimals, or as many as keep it on its side of every limit.

    >>> show(28.0), show(26.699), show(29.96, [30]), show(2.15, decimals=2), show(2000)
    ('28', '26.7', '29.96', '2.15', '2,000')
    """
    kept = tuple(limits)
    for places in range(decimals, _MOST_DECIMALS):
        shown = round(value, places)
        if all(_side(shown, limit) == _side(value, limit) for limit in kept):
            return _text(shown, places)
    return _text(value, _MOST_DECIMALS)


def show_dose(milligrams: float, limits: Iterable[float] = ()) -> str:
    """A dose: a part of a milligram with all its digits.

    >>> show_dose(0.0625), show_dose(0.25, [0.125]), show_dose(1300.0)
    ('0.0625', '0.25', '1,300')
    """
    return show(milligrams, limits, 1 if milligrams >= 1 else 4)


def unit(ucum: str) -> str:
    """The unit as a clinician writes it."""
    return UNITS.get(ucum, ucum)


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)


def _text(value: float, places: int) -> str:
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
