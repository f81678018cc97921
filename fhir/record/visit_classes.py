"""The class of a visit (Encounter.class) as HL7 names it, where a chart says it in a code system of its own.

FHIR R4 binds the class extensibly to HL7 v3 ActCode. Epic sends a system of its own with a display ("Appointment",
"HOV" for a hospital outpatient visit, "Support OP Encounter", as public examples of its charts have them); its numbers
differ in meaning between the public maps, so that only the display is read. A class that neither says is not known.
"""

import re
from typing import Final

from msgspec.structs import replace

from fhir.record.resources import Encounter
from fhir.terminology.caching import remembered

ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
# v3 ActEncounterCode: ambulatory, emergency, field, home health, inpatient (acute, non-acute), observation,
# pre-admission, short stay, virtual.
VISIT_CLASSES: Final = frozenset({"AMB", "EMER", "FLD", "HH", "IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "VR"})
"""The codes of HL7 for classes of visits."""
# The first that is found says which: an outpatient visit to an emergency clinic is an emergency, "Hospital Outpatient
# Visit" is no stay.
_WORDS: Final = tuple(
    (code, re.compile(words, re.IGNORECASE))
    for code, words in (
        ("EMER", r"\bemergency\b|\b(?:ed|er) visit\b"),
        ("OBSENC", r"\bobservation\b"),
        ("HH", r"\bhome (?:health|visit)"),
        ("VR", r"\bvirtual\b|\btele(?:health|medicine|phone)\b|\bvideo visit\b"),
        ("AMB", r"\bambulatory\b|\bout-?patient\b|\boffice visit\b|^appointment$|^hov$|^support op encounter$"),
        ("IMP", r"\bin-?patient\b"),
    )
)


@remembered("classes of visits in words", entries=256, longest=80)
def class_of_words(words: str) -> str | None:
    """The class that a display names; None where it names none.

    >>> class_of_words("Support OP Encounter"), class_of_words("Inpatient"), class_of_words("Surgery")
    ('AMB', 'IMP', None)
    """
    return next((code for code, said in _WORDS if said.search(words) is not None), None)


def with_known_class(visit: Encounter) -> Encounter:
    """The visit with the class of HL7 that its display names, where its own code is none of HL7's."""
    told = visit.class_
    if told is None or told.code in VISIT_CLASSES or not told.display:
        return visit
    code = class_of_words(told.display)
    return visit if code is None else replace(visit, class_=replace(told, system=ACT_CODE, code=code))
