"""Two orders of one drug that are meant to stand side by side, as their own words say: order sets hold many of them.

One is for when the other cannot be taken, each is for another severity of a symptom, or one is the bolus before an
infusion. What two orders do not say of themselves is not assumed.
"""

import re
from typing import Final

from fhir.mapping.medications.identity import Order

_LONGEST: Final = 500
_IN_PLACE: Final = re.compile(
    r"\b(?:if|when|while|for)\b.{0,30}\b(?:(?:unable|not able|cannot|can ?not|can't) (?:to )?(?:take|tolerate|swallow)"
    r"|not tolerating|npo|nothing by mouth|no (?:iv|oral|enteral) access)"
    r"|\b(?:in place of|instead of|alternative to|give only one)\b",
    re.IGNORECASE,
)
_SEVERITY: Final = re.compile(
    r"\b(mild|moderate|severe|breakthrough)\b"
    r"|\b(?:pain|score|scale)\W{1,3}(?:score |scale )?(?:of )?(\d{1,2}) ?(?:-|–|to) ?\d",
    re.IGNORECASE,
)
_BOLUS: Final = re.compile(r"\bbolus\b|\bpush\b|\bload|\bprotocol\b|\baptt\b", re.IGNORECASE)
_INFUSION: Final = re.compile(
    r"\bcontinuous|\binfus|\bdrip\b|\bover \d+ ?(?:h|hr|hrs|hours?)\b|/ ?(?:h|hr|hour)\b|\bper hour\b", re.IGNORECASE
)


def is_in_place_of(first: Order, second: Order) -> bool:
    """Whether one of two orders says that it is given where the other cannot be taken."""
    return any(_IN_PLACE.search(_words(order)) for order in (first, second))


def are_meant_together(first: Order, second: Order) -> bool:
    """Whether the words of both orders say why both stand: one in place of the other, graded, bolus and infusion."""
    mine, theirs = _words(first), _words(second)
    if is_in_place_of(first, second):
        return True
    own_grades, other_grades = _grades(mine), _grades(theirs)
    if own_grades and other_grades and own_grades.isdisjoint(other_grades):
        return True
    return any(
        _BOLUS.search(bolus) and _INFUSION.search(infusion) and not _INFUSION.search(bolus)
        for bolus, infusion in ((mine, theirs), (theirs, mine))
    )


def _grades(words: str) -> set[str]:
    return {(match[1] or match[2]).casefold() for match in _SEVERITY.finditer(words)}


def _words(order: Order) -> str:
    """Return the texts of the sig and for what it is needed."""
    needed = (dosage.asNeededCodeableConcept for dosage in order.dosageInstruction)
    texts = [dosage.text for dosage in order.dosageInstruction]
    texts += [concept.words for concept in needed if concept is not None]
    return " ".join(text[:_LONGEST] for text in texts if text)
