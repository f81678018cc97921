"""Routes of administration: whether a drug given so acts where it is put or on the whole body."""

import re

SNOMED = "http://snomed.info/sct"

# SNOMED CT codes and displays as in FHIR's value set route-codes (hl7.org/fhir/R5/valueset-route-codes.html).
_LOCAL_SNOMED = frozenset(
    {
        "6064005",  # topical
        "10547007",  # otic
        "12130007",  # intra-articular
        "16857009",  # vaginal
        "46713006",  # nasal
        "54485002",  # ophthalmic
        "72607000",  # intrathecal
        "447694001",  # respiratory tract
    }
)
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
    r"|cutaneous|to (?:the )?(?:affected )?skin|dental|irrigation|dwell)\b",
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
