"""What a measured quantity is: its LOINC codes, its canonical unit, the units that convert to it, what is plausible.

Tables: `tables/analytes.csv` (merged from codes/loinc_analytes.csv and medications/labs.csv; where both know an
analyte the narrower plausible range wins), `tables/unit_spellings.csv`, and `tables/analyte_codes.csv`: codes that are
read where they come and never asked for, of LOINC (the same component, property, system and scale by any method) and
of NPU, the code system of laboratories in the Nordic countries. Plausible limits are for refusing a value, they are
not reference ranges.
"""

import re
import unicodedata
from collections.abc import Iterable, Set
from functools import cache
from typing import Final

from msgspec import Struct

from fhir.terminology.caching import remembered
from fhir.terminology.medications import addresses_of, table_rows
from fhir.terminology.semantic_tags import without_any_tag
from fhir.terminology.units import normal_unit, unit_parts

LOINC = "http://loinc.org"
LOINC_SYSTEMS: Final = frozenset(addresses_of("loinc"))
LOINC_OR_UNNAMED: Final = LOINC_SYSTEMS | {None}
UCUM = "http://unitsofmeasure.org"
ANSWER = "answer"
"""The kind of a test that is positive (1) or negative (0)."""

_AROUND_SLASH = re.compile(r"\s*/\s*")
_FACTOR = re.compile(r"^(?P<factor>[0-9.e]+)(?P<offset>[+-][0-9.]+)?$")


class Conversion(Struct, frozen=True):
    """value in the canonical unit = value * factor + offset."""

    factor: float
    offset: float = 0.0


class Analyte(Struct, frozen=True, eq=False):
    """One measured quantity; `units` maps every accepted spelling to its conversion into `unit` (UCUM)."""

    key: str
    words: str
    kind: str
    unit: str
    loinc: tuple[str, ...]
    plausible_low: float
    plausible_high: float
    units: dict[str, Conversion]
    refused_when_haemolysed: bool
    source: str

    def conversion(self, unit: str) -> Conversion | None:
        """How this unit, in any accepted spelling, becomes the canonical one; None when it is not known."""
        factor = self.units.get(unit)
        if factor is not None:
            return factor
        text = _AROUND_SLASH.sub("/", unit.strip()).replace("μ", "µ").lower()
        factor = self.units.get(text)
        if factor is None:
            factor = self.units.get(text.replace("µ", "u"))
        return factor if factor is not None else _conversion_by_grammar(self.key, unit)


@remembered("units of analytes", entries=2048, longest=100)
def _conversion_by_grammar(key: str, unit: str) -> Conversion | None:
    """How a unit that no table has becomes the canonical one: another spelling, or a multiple, of one that it has.

    >>> ANALYTES["platelets"].conversion("Tsd/µl"), ANALYTES["platelets"].conversion("/nL")
    (Conversion(factor=1.0, offset=0.0), Conversion(factor=1.0, offset=0.0))
    >>> ANALYTES["potassium"].conversion("mmHg") is None
    True
    """
    units = ANALYTES[key].units
    normal = normal_unit(unit)
    alike = {conversion for text, conversion in units.items() if normal and normal_unit(text) == normal}
    if alike:
        return alike.pop() if len(alike) == 1 else None
    parts = unit_parts(unit)
    if parts is None:
        return None
    factors = {
        float(f"{conversion.factor * parts.amount / other.amount:.12g}")
        for text, conversion in units.items()
        if not conversion.offset
        and (other := unit_parts(text)) is not None
        and (other.top, other.bottom) == (parts.top, parts.bottom)
    }
    return Conversion(factors.pop()) if len(factors) == 1 else None


@cache  # equal conversions are one object, so that `is` compares them
def _conversion(text: str) -> Conversion:
    match = _FACTOR.match(text)
    if match is None:
        raise ValueError(f"tables/analytes.csv: {text!r} is not a conversion; write factor or factor+offset")
    return Conversion(float(match["factor"]), float(match["offset"] or 0.0))


def units_with_spellings(factors: dict[str, float]) -> dict[str, Conversion]:
    """Return the conversions of a quantity into its unit, by UCUM unit and by every spelling of it in the tables."""
    return _units({unit: _conversion(repr(factor)) for unit, factor in factors.items()}, _spellings())


def _of_column(column: str) -> dict[str, Conversion]:
    pairs = (item.rpartition("=") for item in column.split(";"))
    return {ucum: _conversion(factor) for ucum, _, factor in pairs}


def _units(conversions: dict[str, Conversion], spellings: dict[str, list[str]]) -> dict[str, Conversion]:
    units: dict[str, Conversion] = {}
    for ucum, conversion in conversions.items():
        for text in (ucum, *spellings.get(ucum, ())):
            units[text] = conversion
    # People write mmol/l and MEQ/L. Lower case is accepted where it cannot mean two things for this analyte.
    lower: dict[str, set[Conversion]] = {}
    for text, conversion in units.items():
        lower.setdefault(text.lower(), set()).add(conversion)
    for text, meanings in lower.items():
        if len(meanings) == 1:
            units.setdefault(text, next(iter(meanings)))
    return units


def _spellings() -> dict[str, list[str]]:
    spellings: dict[str, list[str]] = {}
    for row in table_rows("unit_spellings.csv"):
        spellings.setdefault(row["ucum"], []).append(row["text"])
    return spellings


def _load() -> dict[str, Analyte]:
    spellings = _spellings()
    return {
        row["key"]: Analyte(
            key=row["key"],
            words=row["words"],
            kind=row["kind"],
            unit=row["unit"],
            loinc=tuple(row["loinc"].split(";")),
            plausible_low=float(row["plausible_low"]),
            plausible_high=float(row["plausible_high"]),
            units=_units(_of_column(row["units"]), spellings),
            refused_when_haemolysed=row["haemolysis"] == "yes",
            source=row["source"],
        )
        for row in table_rows("analytes.csv")
    }


ANALYTES: dict[str, Analyte] = _load()


_KEY_BY_NAME: dict[str, str] = {
    name: row["key"] for row in table_rows("analyte_names.csv") for name in row["names"].split(";")
}
_WORD = re.compile(r"[a-z0-9%]+")
# Words that say no other quantity: "Sodium level, serum", "TSH basal"; "urine" and "ionized" do.
_WORDS: dict[str, frozenset[str]] = {
    row["kind"]: frozenset(row["words"].split(";")) for row in table_rows("analyte_words.csv")
}
_IN_SERUM = re.compile(r"\bi\. ?(?:[sp]\.|serum\b|plasma\b|blut\b)|\b3[07] ?°c\b")
_IN_BLOOD = re.compile(r"\b(?:serum|plasma|blood)\b", re.IGNORECASE)
_LONGEST_NAME = 160
# How LOINC names a test in full, as parts, and short; in urine and other fluids it is another test.
_LOINC_NAME = re.compile(
    r"(?P<long>[^\[\]]{1,60}) \[(?:(?:mass|moles|mass or moles|units|enzymatic activity|catalytic activity|#)/volume"
    r"|volume fraction|entitic (?:volume|mass)|pure mass fraction|volume rate/area)\] (?:in|of) "
    r"(?:serum|plasma|blood|platelet poor plasma|(?:venous|arterial|capillary|mixed venous) blood|, | or )+"
    r"(?: by [^\[\]]{1,60})?"
    r"|(?P<parts>[^:]{1,60}):(?:[ms]cnc|[mscac]cnc|acnc|ccnc|ncnc|vfr|entvol|entmass|mfr):pt:"
    r"(?:ser|plas|bld[acv]?|ppp|[/+])+:qn(?::.{0,60})?"
    r"|(?P<short>.{1,40}) (?:ser|pl(?:as)?|bld[acv]?|ppp)+(?: [^-]{1,20})?-(?:[msacn]cnc|vfr|entvol|entmass|mfr)",
    re.IGNORECASE,
)
# How NPU does: "P—Kalium-ion; stofk. = ? mmol/L".
_NPU_NAME = re.compile(r"[PBSf](?:\([^()]{1,20}\))? ?[—–-] ?(?P<npu>[^;]{1,60});.{0,80}=.{0,30}")


def analyte_of_name(text: str) -> str | None:
    """Return the analyte that a result without a code means by its whole name; None for any other.

    >>> analyte_of_name("Sodium level"), analyte_of_name("Potassium, urine"), analyte_of_name("K+")
    ('sodium', None, 'potassium')
    >>> analyte_of_name("Creatinine [Mass/volume] in Blood"), analyte_of_name("Creatinine [Mass/volume] in Urine")
    ('creatinine', None)
    >>> analyte_of_name("EBV VCA IgG antibody"), analyte_of_name("Digoxin antibody")
    ('ebv_igg', None)
    >>> analyte_of_name("Hämoglobin"), analyte_of_name("Créatinine sérique"), analyte_of_name("Hemoglobin S")
    ('hemoglobin', 'creatinine', None)
    """
    key = _key_of_name(text)
    return key if key in ANALYTES else None


def is_panel(texts: Iterable[str], kinds: Set[str] = frozenset({"panel", "pressure"})) -> bool:
    """Whether a name is that of a panel of blood, a study of the heart or a pressure, whose parts say what they are.

    >>> is_panel(["Blutbild"]), is_panel(["Urine electrolytes"])
    (True, False)
    """
    return any(_key_of_name(text) in kinds for text in texts)


@remembered("names of analytes", entries=2048, longest=_LONGEST_NAME)
def _key_of_name(text: str) -> str | None:
    if len(text) > _LONGEST_NAME:
        return None
    text = without_any_tag(text)
    name = _component_of(text) or text
    name = _IN_SERUM.sub(" ", _without_accents(name.lower()))
    words = _WORD.findall(name)
    whole = " ".join(words)
    if whole not in _KEY_BY_NAME:  # "Hemoglobin S" is there, and none of ours
        whole = " ".join(word for word in words if word not in _WORDS["nothing"])
    # An immunoglobulin is an antibody; a digoxin antibody is no digoxin.
    serology = _KEY_BY_NAME.get(" ".join(word for word in whole.split() if word not in _WORDS["antibody"]))
    if whole not in _KEY_BY_NAME and serology in ANALYTES and ANALYTES[serology].kind == "answer":
        return serology
    return _KEY_BY_NAME[whole] if whole in _KEY_BY_NAME else _key_of_parts(name)


def _key_of_parts(name: str) -> str | None:
    """Return the analyte that each part of a name means which says something: "GPT (ALAT)", "Blutzucker, BZ"."""
    parts = [part for part in _BETWEEN_PARTS.split(name) if set(_WORD.findall(part)) - _WORDS["nothing"]]
    keys = {_key_of_name(part) for part in parts} if len(parts) > 1 else set()
    return keys.pop() if len(keys) == 1 else None


_BETWEEN_PARTS = re.compile(r"[(),/;:=]| - ")
# Tests of blood that no laboratory names like each other.
_OF_BLOOD = _WORDS["of_blood"]
_IN_ANOTHER_FLUID = re.compile(
    r"\b(?:orina|liquor|lcr|csf|cerebrospinal|pleura\w*|ascit\w*|punktat|stool|fa?eces|sweat|saliva"
    r"|dialysate|amniotic|synovial)\b"
)


def is_another_fluid(text: str) -> bool:
    """Whether a specimen, a site or a name is of another fluid than blood.

    >>> is_another_fluid("24h-Sammelurin"), is_another_fluid("venous blood")
    (True, False)
    """
    words = text[:_LONGEST_NAME].lower()
    return "urin" in words or _IN_ANOTHER_FLUID.search(words) is not None


def another_test_of(key: str, texts: Iterable[str]) -> str | None:
    """Return the first of the texts beside the code of a test of blood that names another one, or another fluid.

    >>> another_test_of("glucose", ["Creatinine in urine"]), another_test_of("creatinine", ["Creatinine, serum"])
    ('Creatinine in urine', None)
    """
    for text in texts if key in _OF_BLOOD else ():
        other = analyte_of_name(text)
        if (other != key and other in _OF_BLOOD) or is_another_fluid(text):
            return text
    return None


def analyte_of_full_name(text: str) -> str | None:
    """Return the analyte of a name that says what is measured in what: as LOINC or NPU does, a vital sign, QTc.

    >>> analyte_of_full_name("Potassium [Moles/volume] in Serum, Plasma or Blood"), analyte_of_full_name("Potassium")
    ('potassium', None)
    >>> analyte_of_full_name("Potassium:SCnc:Pt:Ser/Plas:Qn"), analyte_of_full_name("Potassium SerPl-sCnc")
    ('potassium', 'potassium')
    """
    analyte = analyte_of_name(text)  # remembered, and None for most names
    is_full = analyte is not None and (
        ANALYTES[analyte].kind != "lab"
        or analyte == "qtc"
        or _IN_BLOOD.search(text) is not None
        or _component_of(text) is not None
    )
    return analyte if is_full else None


def _component_of(text: str) -> str | None:
    match = _LOINC_NAME.fullmatch(text) or _NPU_NAME.fullmatch(text)
    return match[match.lastgroup or 0] if match is not None else None


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    text = text.replace("æ", "ae").replace("ø", "o").replace("ß", "ss").replace("ł", "l")
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))


ANALYTE_BY_LOINC: dict[str, Analyte] = {code: analyte for analyte in ANALYTES.values() for code in analyte.loinc}
"""The analyte of each code of LOINC."""


ANALYTE_BY_CODE: dict[str, Analyte] = ANALYTE_BY_LOINC | {
    code: ANALYTES[row["key"]] for row in table_rows("analyte_codes.csv") for code in row["codes"].split(";")
}
"""The analyte of each code: those of LOINC that are asked for, further ones, and those of NPU (NPU03230)."""
