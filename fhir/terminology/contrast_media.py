"""The classes of contrast media that words name, for what the drug tables do not have: brands, "CT dye", "contrast"."""

import re
from typing import Final

IODINATED: Final = "iodinated_contrast"
"""The class of iodinated contrast media (tables/medication_classes.csv)."""
GADOLINIUM: Final = "gadolinium_contrast"
"""The class of gadolinium-based contrast media."""

_GADOLINIUM: Final = re.compile(
    r"\bgado\w+|\bgadavist|\bmagnevist|\bomniscan|\bdotarem|\bclariscan|\bprohance|\bmultihance|\beovist|\bprimovist"
    r"|\boptimark|\belucirem|\bvueway|\bmri? (?:contrast|dye)|\bmr[it]?-?kontrast",
    re.IGNORECASE,
)
_IODINATED: Final = re.compile(
    r"iodin\w{0,10}\b.{0,30}\b(?:contrast|dye)|\b(?:contrast|dye)\b.{0,30}\biodin"
    r"|\b(?:x-?ray|ct|cat scan|ivp|cath|angio\w{0,12}|radiogra\w{1,8})[ -](?:contrast|dye)"
    r"|radio-?contrast|radiopaque|\bioxagl\w+|\bhexabrix|\bioxilan|\boxilan|\biothalam\w+|\bconray|\biomeprol|\biomeron"
    r"|\blipiodol|\brenografin|\bhypaque|\bxenetix|\biom[eé]ron"
    r"|\bj?[iy]?[oó]d\w{0,10}\b.{0,30}[ck]ontras[tz]|[ck]ontras[tz].{0,30}\b(?:[jy][oó]d|iod)|\bjod-?kontrast"
    r"|\bdye for (?:a )?ct\b|\br(?:ö|oe)ntgen-?kontrast|\bct-?kontrast",
    re.IGNORECASE,
)
_EITHER: Final = re.compile(
    r"\b[ck]ontrast(?:e|o|u|mid\w*|mitt\w*|me[dt]\w*|v\w*|ow\w*|n[ií]\w*)?\b|\bkontrasztanyag|\bvarjoaine"
    r"|\b(?:iv|i\.v\.|intravenous|radiology|imaging) dye"
    r"|\bkm-? ?allergi",
    re.IGNORECASE,
)
_NEITHER: Final = re.compile(
    r"\bbar[iy]um|\bbario\b|ultras[oc]|microbubble|\becho(?:cardio\w*)? contrast|\bdefinity|\blumason|\boptison",
    re.IGNORECASE,
)


def contrast_spans(words: str) -> list[tuple[int, int]]:
    """Return the first and last character of what names contrast media."""
    return [match.span() for name in (_GADOLINIUM, _IODINATED, _EITHER) for match in name.finditer(words)]


def contrast_classes(words: str) -> frozenset[str]:
    """Return the classes of contrast media that the words name; both where they say contrast and not which.

    >>> sorted(contrast_classes("CT dye")), sorted(contrast_classes("IV contrast"))
    (['iodinated_contrast'], ['gadolinium_contrast', 'iodinated_contrast'])
    >>> contrast_classes("Shellfish"), contrast_classes("povidone-iodine")
    (frozenset(), frozenset())
    """
    patterns = {GADOLINIUM: _GADOLINIUM, IODINATED: _IODINATED}
    contrast = frozenset(name for name, pattern in patterns.items() if pattern.search(words))
    if contrast or _NEITHER.search(words) or not _EITHER.search(words):
        return contrast
    return frozenset(patterns)
