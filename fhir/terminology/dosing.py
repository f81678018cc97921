"""Units in which a dose is written and codes of timings (tables), units of time, and routes of administration."""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from fhir.terminology.caching import remembered
from fhir.terminology.medication_strength import ACTIVITY_UNITS, MILLIGRAMS, Strength
from fhir.terminology.medications import table_rows

DoseUnitKind: TypeAlias = Literal["mg", "unit", "mL", "drop", "actuation", "patch", "activity"]


class DoseUnit(Struct, frozen=True, gc=False):
    """What a unit counts, and how many of it one is: 1 g is 1,000 of kind "mg".

    "unit" is a thing that holds the product's strength (a tablet); "activity" is what has no mass, and `activity` says
    which: "unit", "meq" or "mmol" as in the strengths of products, "" for another.
    `by_weight`: for each kilogram of the patient; `span_days`: so much in so many days ("mg/day" 1, "mcg/h" 1/24),
    None for so much at a time.
    """

    kind: DoseUnitKind
    factor: float = 1.0
    by_weight: bool = False
    span_days: float | None = None
    activity: str = ""


def _read_units() -> Mapping[str, DoseUnit]:
    units = {name: DoseUnit("mg", factor) for name, factor in MILLIGRAMS.items()}
    for row in table_rows("dose_units.csv"):
        kind, text = row["kind"], row["text"]
        activity = ACTIVITY_UNITS.get(re.sub(r"[][{}/]|^milli", "", text), "") if kind == "activity" else ""
        units[text] = DoseUnit(kind, float(row["factor"]), activity=activity)  # type: ignore[arg-type]  # our own table
    return units


_UNITS: Final[Mapping[str, DoseUnit]] = _read_units()


DROPS: Final[Mapping[str, tuple[Strength, float]]] = {
    row["rxcui"]: (Strength(float(row["mg_per_ml"]), "mg", "mL"), float(row["mg_per_ml"]) / float(row["drops_per_ml"]))
    for row in table_rows("drops.csv")
}
"""The strength of oral drops and the milligrams in one drop, by ingredient, where a product's information has both."""


DAYS: Final[Mapping[str, float]] = {row["text"]: int(row["seconds"]) / 86_400 for row in table_rows("time_units.csv")}
"""How many days a unit of time has; a month is UCUM's mean Julian month."""


# What may stand after the slash beside a time: the kilogram, and "dose", which says only that it is one.
_BY_WEIGHT = frozenset({"kg"})
_ONE_DOSE = frozenset({"dose", "doses", "{dose}"})


def dose_unit(text: str | None) -> DoseUnit | None:
    """Return what a dose's unit means; None when it is not known, which is never to be guessed.

    >>> dose_unit("TAB")
    DoseUnit(kind='unit', factor=1.0, by_weight=False, span_days=None, activity='')
    >>> dose_unit("mcg/kg/day")
    DoseUnit(kind='mg', factor=0.001, by_weight=True, span_days=1.0, activity='')
    >>> dose_unit("mg/m2") is None
    True
    """
    if text is not None and text in _UNITS:  # as it is mostly written
        return _UNITS[text]
    name = (text or "").strip().lower().replace("μ", "µ")
    unit = _UNITS.get(name) or (_UNITS.get(name[1:-1]) if name.startswith("{") else None)
    return unit if unit is not None or "/" not in name else _composed(name)


def _composed(name: str) -> DoseUnit | None:
    """ "mg/kg/day": a unit, by weight, in a time; each at most once, in any order."""
    first, *rest = (part.strip() for part in name.split("/"))
    unit = _UNITS.get(first) or _UNITS.get(f"{first}/")  # "mU/min" is milliunits, "MU" alone may be a million
    if unit is None or unit.kind not in ("mg", "mL", "activity"):
        return None
    by_weight, span = False, None
    for part in rest:
        if part in _BY_WEIGHT and not by_weight:
            by_weight = True
        elif span is None and (days := _span(part)) is not None:
            span = days
        elif part not in _ONE_DOSE:
            return None
    return DoseUnit(unit.kind, unit.factor, by_weight, span, unit.activity)


def _span(text: str) -> float | None:
    """How many days "24h", "24 hr" or "d" is."""
    match = _COUNTED_TIME.fullmatch(text)
    days = days_per_unit(match["unit"]) if match is not None else None
    return days * float(match["count"] or 1) if match is not None and days is not None else None


_COUNTED_TIME = re.compile(r"(?P<count>\d+)? ?(?P<unit>[a-z]+)")


def days_per_unit(unit: str | None) -> float | None:
    """How many days a unit of time is; None when it is none."""
    name = (unit or "").strip().lower()
    return DAYS.get(name) or DAYS.get(name.removesuffix("s"))


TIMES_PER_DAY: Final[Mapping[str, float]] = {
    row["code"]: float(row["times"]) / float(row["days"]) for row in table_rows("timing_codes.csv")
}
"""How often a day a code of a timing says."""

SNOMED = "http://snomed.info/sct"

_ROUTES: Final = table_rows("route_codes.csv")
_LOCAL_SNOMED: Final = frozenset(row["snomed"] for row in _ROUTES if row["is_local"] == "yes")
ROUTE_NAMES: Final = {row["snomed"]: row["name"] for row in _ROUTES}
"""What a code is called that came without a text and a display."""
# The codes of the sample charts' hospital (shared/data/fhir/mimic-iv-demo, mimic-medication-route). PR, rectal, is not
# among them: a suppository is absorbed.
_LOCAL_CODES = frozenset(
    {
        "TP", "IH", "NEB", "NU", "DWELL", "ED", "VG", "PERIPHNERVE", "IJ",
        "BOTH EYES", "LEFT EYE", "RIGHT EYE", "BOTH EARS", "LEFT EAR", "RIGHT EAR",
    }
)  # fmt: skip
_LOCAL_WORDS = re.compile(
    r"\b(topical\w*|ophthalmic\w*|eyes?|otic\w*|ears?|nasal\w*|nostrils?|intranasal\w*|inhal\w*|nebuli[sz]\w*"
    r"|respiratory|vaginal\w*|intravaginal\w*|intrathecal\w*|epidural\w*|intra-?articular\w*|intravitreal\w*"
    r"|intra-?catheter|intra-?ut[eé]rin\w*|cutaneous|to (?:the )?(?:affected )?skin|dental|irrigation|dwell)\b",
    re.IGNORECASE,
)


def is_local_route(system: str | None, code: str | None, words: str | None) -> bool | None:
    """Whether a route is local; None when neither its code nor its words say which route it is.

    >>> is_local_route(SNOMED, "54485002", None), is_local_route(None, None, "by mouth")
    (True, False)
    """
    if system == SNOMED and code:
        return code in _LOCAL_SNOMED or bool(words and _LOCAL_WORDS.search(words))
    if code and code.upper() in _LOCAL_CODES:
        return True
    if not words and not code:
        return None
    return bool(_LOCAL_WORDS.search(words or "") or _LOCAL_WORDS.search(code or ""))


_WHOLE_BODY: Final = [
    (re.compile(row["words"], re.IGNORECASE), frozenset(row["drugs"].split(";")))
    for row in table_rows("whole_body_routes.csv")
]
"""What is given by nose, skin, lungs, vagina or rectum for an effect on the whole body: no local form or route."""


def acts_on_whole_body(names: Iterable[str], word: str) -> bool:
    """Whether one of these ingredients acts on the whole body although the word is that of a local form or route.

    >>> acts_on_whole_body(["sevoflurane"], "inhalation"), acts_on_whole_body(["budesonide"], "inhalation")
    (True, False)
    """
    return any(way.fullmatch(word) and not bodies.isdisjoint(names) for way, bodies in _WHOLE_BODY)


_ONLY: Final = itemgetter("only")
_SAID_ROUTES: Final[Mapping[str, list[tuple[str, re.Pattern[str]]]]] = {
    only: [(row["route"], re.compile(row["words"], re.IGNORECASE)) for row in rows]
    for only, rows in groupby(sorted(table_rows("said_routes.csv"), key=_ONLY), key=_ONLY)
}
"""The words of a sig for the routes that rules ask for. "Stage IV" and "class IM" are no routes."""
_PUSHED = re.compile(
    r"\b(?:iv|i\.v\.|e\.v\.|ev|(?:intra|endo)ven\w*) (?:rapid |direct |in |en |als |as (?:a )?)?"
    r"(?:(?:slow )?(?:push|direct[aeo]?|dirett[ao])(?!\w)|bol(?:us|o)(?!\w|,? (?:over|then|in \d|lent|langsam|slow)))"
    r"|\b(?:push(?:ed)?|(?<!slow )bol(?:us|o)|directe?) (?:iv(?!\w)|i\.v\.)(?! (?:lent|langsam|slow))|\biv[pd](?!\w)",
    re.IGNORECASE,
)
# What runs by the minute, or by weight and hour ("50 mcg/kg/min"), runs into a vein where nothing else is said.
_RUNS = re.compile(r"\d ?(?:mcg|µg|ug|mg|ng|units?|meq|mmol) ?/ ?(?:kg ?/ ?(?:min|h)|min)", re.IGNORECASE)
# "20 mL/h", "10 mEq/h", "40 mEq in 100 mL over 1 h" and what a pump gives run in, by whatever route.
_RUNS_IN = re.compile(
    r"\d ?(?:ml|meq|mmol) ?/ ?(?:h|std)|\bperfusor|\bspritzenpumpe|\bsyringe driver"
    r"|(?<!mix )(?<!dissolve )(?:mg|g|mcg|mg/kg|units?|meq|mmol) in \d{2,4} ?ml(?: \w+){0,2} over \d",
    re.IGNORECASE,
)
RUN_IN = "infusion"
"""The route of what runs in where no route is named."""
PUSHED = "intravenous push"
"""The route of what the words say is pushed into a vein."""
PLACED: Final = frozenset(_SAID_ROUTES) - {""}
"""What products are named by in rows that hold for them alone."""
BY_PERCENT: Final = "by percent"
"""The products of which a part of the body is the route: those whose every strength is a percent."""
LONGEST_ROUTE_WORDS = 1000
"""The most characters of a sig in which a route is looked for."""


@remembered("routes said in words", entries=2048, longest=200)
def said_route(words: str) -> str | None:
    """Return the route that the words of a sig name; None where they name none, or more than one.

    >>> said_route("2 mg IV q3h prn"), said_route("1 drop in each eye"), said_route("change from IV to PO")
    ('intravenous', 'ophthalmic', None)
    >>> said_route("40 mEq IV push"), said_route("3 UI IV bolus lento")
    ('intravenous push', 'intravenous')
    >>> said_route("50 mcg/kg/min"), said_route("25 mcg/h patch"), said_route("20 ng/kg/min SC")
    ('intravenous', None, 'subcutaneous')
    """
    if len(words) > LONGEST_ROUTE_WORDS:
        return None
    names = [name for name, pattern in _SAID_ROUTES[""] if pattern.search(words)]
    if len(names) == 2 and "injection" in names:
        # "Inject 40 mg subcutaneously".
        names.remove("injection")
    if names == ["intravenous"] and _PUSHED.search(words):
        return PUSHED
    if not names and _RUNS.search(words):
        return "intravenous"
    if not names and _RUNS_IN.search(words):
        return RUN_IN
    return names[0] if len(names) == 1 else None


def said_place(words: str, only: Iterable[str] = (BY_PERCENT,)) -> str | None:
    """Return where the words of a sig say that a product is put: one by percent "topical" or "vaginal", else None.

    `only` are the products for which a row holds: BY_PERCENT, or an ingredient's RxNorm code. Of any other product a
    part of the body is where it hurts: "1 tablet daily for pain in both knees".

    >>> said_place("4 g to both knees"), said_place("2 g vaginally"), said_place("2 g IV into the left arm")
    ('topical', 'vaginal', None)
    """
    rows = (row for kind in only for row in _SAID_ROUTES.get(kind, ()))
    return next((place for place, pattern in rows if pattern.search(words[:LONGEST_ROUTE_WORDS])), None)
