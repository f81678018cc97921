"""Which contrast medium the words of an allergy mean: iodinated, gadolinium, or one that they do not say.

There is no cross-reactivity between the two classes (ACR Manual on Contrast Media, as the radiology service of the
University of Wisconsin and that of Yale write), so they are told apart. Shellfish, iodine and povidone-iodine are no
contrast media: neither is a risk factor for a contrast reaction (the same pages).
"""

import re
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from fhir.mapping.allergies import Allergy, allergies_to_class
from fhir.record.record import PatientRecord
from fhir.terminology.contrast_media import GADOLINIUM, IODINATED

How: TypeAlias = Literal["severe", "not severe", "not recorded"]

# ACR/AAAAI consensus 2025, as droracle.ai (697592) and the categories of the ACR manual (seekhealthz.com) give them:
# bronchospasm, low blood pressure, cardiovascular signs and anaphylaxis are severe.
_SEVERE: Final = re.compile(
    r"hypotens|\bshock\b|cardiac arrest|respiratory|breath|dyspn|wheez|bronchosp|laryn|unrespons|unconscious"
    r"|loss of consciousness|syncope|seizure|convuls|arrhythm|\bcode blue\b|intubat|life.?threat|collapse",
    re.IGNORECASE,
)
# The physiologic column of the same table, and injury of the kidney: no sign of an allergy.
_PHYSIOLOGIC: Final = re.compile(
    r"nausea|vomit|emesis|warm|flush|chills|headache|dizz|anxi|taste|hypertens|vasovagal|extravas"
    r"|kidney|renal|nephr|creatinine|\baki\b",
    re.IGNORECASE,
)


class ContrastReaction(Struct, frozen=True, gc=False):
    """A reaction to contrast media on record: its words, how bad it was, and the resource.

    `is_class_stated` is False where the entry says contrast and not which.
    """

    words: str
    reaction: str
    how: How
    is_class_stated: bool
    date: str | None
    source: str


def contrast_reactions(record: PatientRecord, class_name: str) -> Sequence[ContrastReaction]:
    """List reactions to this class of contrast media (`iodinated_contrast`, `gadolinium_contrast`), the worst first.

    Physiologic reactions (nausea, warmth, a vasovagal reaction) and injury of the kidney are left out.
    """
    reactions = [_read(allergy) for allergy in allergies_to_class(record, class_name) if not _is_physiologic(allergy)]
    return sorted(
        reactions, key=lambda reaction: (not reaction.is_class_stated, _ORDER.index(reaction.how), reaction.source)
    )


_ORDER: Final = ("severe", "not severe", "not recorded")


def _is_physiologic(allergy: Allergy) -> bool:
    return bool(allergy.reactions) and all(
        _PHYSIOLOGIC.search(text) and not _SEVERE.search(text) for text in allergy.reactions
    )


def _read(allergy: Allergy) -> ContrastReaction:
    is_severe = allergy.grade == "severe" or any(_SEVERE.search(text) for text in allergy.reactions)
    how: How = (
        "severe" if is_severe and not allergy.is_unsure else "not severe" if allergy.reactions else "not recorded"
    )
    is_stated = not {IODINATED, GADOLINIUM} <= allergy.allergen.classes
    date = allergy.recorded.date if allergy.recorded is not None else None
    return ContrastReaction(
        allergy.words, allergy.reactions[0] if allergy.reactions else "", how, is_stated, date, allergy.source
    )
