"""Reads a unit as people and UCUM write it: one spelling for many, and what it is in base units.

UCUM (Regenstrief Institute, https://ucum.org/ucum, version 2.1, read on 2026-11-22): a unit is a quotient of units with
metric prefixes, powers of ten are written 10*3 or 10^3, braces hold annotations. What is not of that form is not read.
"""

import re
from typing import Final

from msgspec import Struct

_LONGEST_UNIT = 40
_RAISED: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RAISED_SIGNS: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_SAME: Final = {
    "tsd": "10*3", "tsd.": "10*3", "thou": "10*3", "thousand": "10*3", "k": "10*3", "th": "10*3", "thous": "10*3",
    "mio": "10*6", "mio.": "10*6", "mill": "10*6", "million": "10*6", "mil": "10*6", "mval": "meq", "val": "eq",
    "mrd": "10*9", "mrd.": "10*9", "mia": "10*9", "mia.": "10*9", "mld": "10*9",
    "mcl": "ul", "mm3": "ul", "cmm": "ul", "cumm": "ul", "mm^3": "ul", "mcg": "ug", "gm": "g", "gms": "g", "gram": "g",
    "grams": "g", "liter": "l", "litre": "l", "units": "u", "unit": "u", "iu": "u", "100ml": "dl", "sec": "s",
    "pound": "lb", "pounds": "lb", "lbs": "lb", "lbav": "lb", "kilogram": "kg", "kilograms": "kg", "°c": "cel",
    "degc": "cel", "°f": "degf", "miu": "mu", "uiu": "uu", "mciu": "uu", "kiu": "ku",
    "1": "", "cells": "", "cell": "", "zellen": "",
}  # fmt: skip
_PER_AREA: Final = re.compile(r"1[.,]73 ?(?:m\^?2|sqm|qm)?")
_POWER: Final = re.compile(r"^(?:x|×|\*|·)?10(?:\*\*|\^|\*|e|\+|exp)\+?(\d{1,2})$")
_ANNOTATION: Final = re.compile(r"(?<=%) ?\{[^{}]{0,30}\}|^\{(?:cells?|#)\}| ?\(calc(?:ulated)?\)$")
_PREFIXES: Final = {
    "": 1.0, "k": 1e3, "d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15,
}  # fmt: skip
_PART: Final = re.compile(r"^(k|d|c|m|u|n|p|f)?(g|mol|eq|osm|l|u|kat)$")
_COUNT: Final = re.compile(r"^10\*(\d{1,2})$")


class UnitParts(Struct, frozen=True):
    """A quotient in base units: `amount` of `top` per one `bottom`; `top` is empty for a count."""

    amount: float
    top: str
    bottom: str


def normal_unit(text: str) -> str:
    """Return the unit in one spelling, in lower case without annotations; what is unknown comes back as it is written.

    >>> normal_unit("10+3/uL"), normal_unit("Tsd/µl"), normal_unit("mL/min/1.73 m²"), normal_unit("% {HbA1c}")
    ('10*3/ul', '10*3/ul', 'ml/min/1.73m2', '%')
    """
    raised = _RAISED_SIGNS.sub(lambda match: f"^{match[0].translate(_RAISED)}", text[:_LONGEST_UNIT])
    lowered = raised.lower().replace("μ", "u").replace("µ", "u").replace(" per ", "/")
    bare = _ANNOTATION.sub("", lowered)
    for sign in "{}()[]_":
        bare = bare.replace(sign, "")
    bare = _PER_AREA.sub("1.73m2", bare).replace("mg%", "mg/dl").replace(" ", "")
    return "/".join(map(_normal_part, bare.split("/")))


def _normal_part(part: str) -> str:
    power = _POWER.match(part)
    return f"10*{int(power[1])}" if power is not None else _SAME.get(part, part)


def unit_parts(text: str) -> UnitParts | None:
    """Return what the unit is in base units; None for what is no quotient of two known units.

    >>> unit_parts("10*3/uL") == unit_parts("/nL") == unit_parts("10^9/L")
    True
    >>> unit_parts("mg/dL"), unit_parts("mmHg")
    (UnitParts(amount=0.01, top='g', bottom='l'), None)
    """
    top, slash, bottom = normal_unit(text).partition("/")
    below = _PART.match(bottom)
    if not slash or below is None:
        return None
    count, above = _COUNT.match(top), _PART.match(top)
    if not top or count is not None:
        amount, base = 10.0 ** int(count[1]) if count is not None else 1.0, ""
    elif above is not None:
        amount, base = _PREFIXES[above[1] or ""], above[2]
    else:
        return None
    return UnitParts(float(f"{amount / _PREFIXES[below[1] or '']:.12g}"), base, below[2])
