"""Reads UCUM units of quantities: what a unit is in base units, so that quantities can be compared and multiplied.

UCUM (Regenstrief Institute, https://ucum.org/ucum, version 2.1, read on 2026-11-28): units are case-sensitive, a
term is made of atoms with metric prefixes and exponents, `.` multiplies and `/` divides, braces hold annotations. A
spelling that is not UCUM is given to `fhir.terminology.units`, which knows how people write. What neither of them
reads is a unit of its own: it compares with itself only.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from fhir.terminology.caching import remembered
from fhir.terminology.units import normal_unit

Dimension: TypeAlias = tuple[tuple[str, int], ...]

_PREFIXES: Final = {
    "": 0, "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
    "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip
# atom: factor, dimension, whether it takes metric prefixes
_ATOMS: Final[dict[str, tuple[str, str, bool]]] = {
    "1": ("1", "", False), "%": ("0.01", "", False), "[ppth]": ("0.001", "", False), "[ppm]": ("0.000001", "", False),
    "mol": ("1", "mol", True), "m": ("1", "m", True), "g": ("1", "g", True), "s": ("1", "s", True),
    "rad": ("1", "rad", True), "K": ("1", "K", True), "Cel": ("1", "Cel", True), "[degF]": ("1", "degF", False),
    "C": ("1", "C", True), "cd": ("1", "cd", True), "min": ("60", "s", False), "h": ("3600", "s", False),
    "d": ("86400", "s", False), "wk": ("604800", "s", False), "mo": ("2629800", "s", False), "a": ("31557600", "s",
    False),
    "L": ("0.001", "m3", True), "l": ("0.001", "m3", True), "t": ("1000000", "g", True), "eq": ("1", "mol", True),
    "osm": ("1", "osm", True), "U": ("1", "U", True), "kat": ("1", "kat", True), "[iU]": ("1", "iU", True),
    "[IU]": ("1", "iU", True), "N": ("1000", "g.m/s2", True), "Pa": ("1000", "g/m/s2", True), "J": ("1000",
    "g.m2/s2", True),
    "W": ("1000", "g.m2/s3", True), "cal": ("4184", "g.m2/s2", True), "[Cal]": ("4184000", "g.m2/s2", False),
    "m[Hg]": ("133322000", "g/m/s2", True), "m[H2O]": ("9806650", "g/m/s2", True), "bar": ("100000000", "g/m/s2", True),
    "Hz": ("1", "/s", True), "Gy": ("1", "m2/s2", True), "Sv": ("1", "Sv", True), "Bq": ("1", "/s", True),
    "[in_i]": ("0.0254", "m", False), "[ft_i]": ("0.3048", "m", False), "[yd_i]": ("0.9144", "m", False),
    "[mi_i]": ("1609.344", "m", False), "[lb_av]": ("453.59237", "g", False), "[oz_av]": ("28.349523125", "g", False),
    "[gr]": ("0.06479891", "g", False), "[foz_us]": ("0.0000295735295625", "m3", False), "deg": ("1", "deg", False),
    "[pH]": ("1", "pH", False), "[hnsf'U]": ("1", "HU", False), "Torr": ("133322", "g/m/s2", False),
}  # fmt: skip
_CALENDAR: Final = {
    "year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond":
    "ms",
}  # fmt: skip
_WORDS: Final = {ucum: word for word, ucum in _CALENDAR.items()}
# of the spelling of `normal_unit`, which is in lower case
_USUAL: Final = {
    "l": "L", "ml": "mL", "dl": "dL", "ul": "uL", "cl": "cL", "u": "U", "mu": "mU", "cel": "Cel", "kat": "kat",
    "lb": "[lb_av]", "mmhg": "mm[Hg]", "degf": "[degF]",
}  # fmt: skip
_PART: Final = re.compile(r"([./]?)(10[*^]|[^./0-9+-]*?(?:\[[^\]]*\][^./0-9+-]*)?|\d+)([+-]?\d+)?(?=[./]|$)")
_ANNOTATION: Final = re.compile(r"\{[^{}]*\}")
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Unit:
    """What one of a unit is in base units; the calendar's years and months are their own dimension in CQL."""

    factor: Fraction
    dimension: Dimension


def _singular(unit: str) -> str:
    return unit.removesuffix("s") if len(unit) > 2 else unit


def calendar_unit(unit: str) -> str | None:
    """Return the precision of a duration in calendar words or UCUM ("days", "d" → "day"); None for another unit."""
    return _singular(unit) if _singular(unit) in _CALENDAR else _WORDS.get(unit)


def ucum_spelling(unit: str) -> str:
    """Return the UCUM unit of a calendar word; another unit as it is.

    >>> ucum_spelling("days"), ucum_spelling("mg/dL")
    ('d', 'mg/dL')
    """
    return _CALENDAR.get(_singular(unit), unit) or "1"


@remembered("units of quantities", entries=1024, longest=_LONGEST)
def read_unit(text: str) -> Unit:
    """Return the unit in base units; of what is not known a unit of its own.

    >>> read_unit("g/dL").factor == read_unit("mg/mL").factor * 10 == read_unit("mg/ml").factor * 10
    True
    """
    spelling = ucum_spelling(text)
    usual = "/".join(_USUAL.get(part, part) for part in normal_unit(spelling).split("/"))
    return _read(spelling) or _read(usual) or Unit(Fraction(1), ((f"'{spelling}", 1),))


def _terms(unit: str) -> list[tuple[str, int]] | None:
    """Return the atoms of a unit with their exponents; None where it is not of UCUM's form."""
    terms, position = list[tuple[str, int]](), 0
    unit = unit.replace("/.", "/") if unit.startswith("/") else unit
    while position < len(unit):
        match = _PART.match(unit, position)
        if match is None or match.end() == position:
            return None
        position = match.end()
        terms.append((match[2], int(match[3] or 1) * (-1 if match[1] == "/" else 1)))
    return terms


def _read(text: str) -> Unit | None:
    bare = _ANNOTATION.sub("", text) or "1"
    terms = _terms(bare) if len(bare) <= _LONGEST and "(" not in bare else None
    factor, powers = Fraction(1), dict[str, int]()
    for name, exponent in terms or ((bare, 31),):
        atom = _atom(name, exponent)
        if atom is None or abs(exponent) > 30:
            return None
        factor *= atom.factor**exponent
        for base, power in atom.dimension:
            powers[base] = powers.get(base, 0) + power * exponent
    return Unit(factor, tuple(sorted((base, power) for base, power in powers.items() if power)))


def _atom(name: str, exponent: int) -> Unit | None:
    if name in {"10*", "10^"}:
        return Unit(Fraction(10), ())
    if name == "":  # 1, or an annotation alone, as in /{specimen}
        return Unit(Fraction(1), ()) if abs(exponent) == 1 else None
    for prefix, power in _PREFIXES.items():
        rest = name.removeprefix(prefix)
        if rest in _ATOMS and (not prefix or (rest != name and _ATOMS[rest][2])):
            factor, dimension, _ = _ATOMS[rest]
            return Unit(Fraction(factor) * Fraction(10) ** power, tuple(sorted(_terms(dimension) or ())))
    return None


def conversion(unit: str, into: str) -> Fraction | None:
    """Return the factor from one unit to another; None where they do not measure the same.

    >>> conversion("g", "mg"), conversion("g", "cm") is None
    (Fraction(1000, 1), True)
    """
    if unit == into or ucum_spelling(unit) == ucum_spelling(into):
        return Fraction(1)
    item, other = read_unit(unit), read_unit(into)
    return item.factor / other.factor if item.dimension == other.dimension else None


def product(item: str, other: str, *, divided: bool = False) -> str:
    """Return the unit of a product or a quotient, in one spelling.

    >>> product("cm", "cm"), product("g/cm3", "g/cm3", divided=True)
    ('cm2', '1')
    """
    powers = dict[str, int]()
    for unit, sign in ((item, 1), (other, -1 if divided else 1)):
        for name, power in _terms(ucum_spelling(unit)) or [(unit, 1)]:
            powers[name] = powers.get(name, 0) + sign * power * (name != "")
    text = ""
    for name, power in powers.items():
        if power:
            text += ("/" if power < 0 else "." if text else "") + name + (str(abs(power)) if abs(power) > 1 else "")
    return text or "1"
