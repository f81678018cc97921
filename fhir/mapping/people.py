"""Who a call is about and who makes it: the patient's race and ethnicity, and what the user works as.

Race and ethnicity are as US Core records them, for comparing groups in monitoring, never as an input. Source: US Core
Implementation Guide 6.1.0 (HL7, 2023), extensions us-core-race and us-core-ethnicity, whose parts `ombCategory` are of
the value sets OMB Race Categories and OMB Ethnicity Categories; read on 2026-11-22. What the user works as is read
from their PractitionerRoles: the codes and words that EHRs send.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Final

from fhir.record.datatypes import CodeableConcept, parse_time
from fhir.record.record import PatientRecord, relative_reference
from fhir.record.resources import PractitionerRole
from fhir.terminology.medications import table_rows

# A part of the address or number of each code system, by its name in tables/practitioner_roles.csv. A role of HL7 v2
# table 0286 (referring, consulting, primary care provider) tells no profession.
_SYSTEMS: Final = {
    "snomed": ("snomed.info/sct", "2.16.840.1.113883.6.96"),
    "nucc": ("nucc.org/provider-taxonomy", "2.16.840.1.113883.6.101"),
    "hl7": ("practitioner-role",),
}


def roles_of_user(resources: Iterable[object], user_id: str, as_of: datetime) -> tuple[str, ...]:
    """Return what the user works as now, such as nurse or prescriber; nothing where that is not known.

    Only roles of this practitioner count, and neither those that are over nor those that are not active.
    """
    user = relative_reference(user_id)
    names = set[str]()
    for role in resources:
        if isinstance(role, PractitionerRole) and _is_held(role, user, as_of):
            for concept in (*role.code, *role.specialty):
                names.update(_roles_of(concept))
    return tuple(sorted(names))


def _is_held(role: PractitionerRole, user: str, as_of: datetime) -> bool:
    whose = relative_reference(role.practitioner.reference) if role.practitioner is not None else ""
    if not user or user not in (whose, f"PractitionerRole/{role.id}") or role.active is False:
        return False
    start, end = (role.period.start, role.period.end) if role.period is not None else (None, None)
    begins, ends = parse_time(start), parse_time(end)
    is_over = ends is not None and ends.last_day < as_of.date()
    return not is_over and (begins is None or not begins.is_after(as_of.timestamp()))


def _roles_of(concept: CodeableConcept) -> set[str]:
    """Return the roles of its codes; of its words where no code is known."""
    codes, words, phrases = _table()
    coded = set()
    for coding in concept.coding:
        address, code = coding.system or "", coding.code
        for system, parts in _SYSTEMS.items():
            if any(part in address for part in parts):
                # The first characters of a NUCC code name the profession: two that of a physician, four others.
                for row_code in (code, f"{code[:4]}*", f"{code[:2]}*"):
                    coded |= codes.get((system, row_code), set())
    return coded or {words[match] for match in phrases.findall(" ".join(" ; ".join(concept.texts).casefold().split()))}


@cache
def _table() -> tuple[dict[tuple[str, str], set[str]], dict[str, str], re.Pattern[str]]:
    rows = table_rows("practitioner_roles.csv")
    codes: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        codes.setdefault((row["system"], row["code"]), set()).add(row["role"])
    words = {row["code"]: row["role"] for row in rows if row["system"] == "text"}
    longest_first = sorted(words, key=len, reverse=True)
    return codes, words, re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")


_CODES: Final = "urn:oid:2.16.840.1.113883.6.238"
_EXTENSIONS: Final = {
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race": "race",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity": "ethnicity",
}
_CATEGORIES: Final = {
    "1002-5": "American Indian or Alaska Native",
    "2028-9": "Asian",
    "2054-5": "Black or African American",
    "2076-8": "Native Hawaiian or Other Pacific Islander",
    "2106-3": "White",
    "2135-2": "Hispanic or Latino",
    "2186-5": "Not Hispanic or Latino",
}


def race_and_ethnicity(record: PatientRecord) -> tuple[str, ...]:
    """Return the groups, as "race Asian" and "ethnicity Hispanic or Latino"; empty where none is recorded.

    Somebody with more than one category of race is of the group "race more than one".
    """
    if record.patient is None:
        return ()
    groups = []
    for extension in record.patient.extension:
        name = _EXTENSIONS.get(extension.url)
        if name is None:
            continue
        categories = {
            words
            for part in extension.extension
            if (coding := part.valueCoding) is not None and coding.system == _CODES
            if (words := _CATEGORIES.get(coding.code)) is not None
        }
        if categories:
            groups.append(f"{name} {categories.pop() if len(categories) == 1 else 'more than one'}")
    return tuple(groups)
