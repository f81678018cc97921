"""Maps coded fields of HL7 v2 to FHIR, by the code tables of HL7's v2-to-FHIR guide (`codes.csv`).

`codes.csv` has codes of HL7's tables 0001, 0004, 0085, 0119, 0127, 0128, 0162, 0322 and 0335 with what the concept maps
of the guide (HL7 Version 2 to FHIR, spreadsheets, read 2026-11-22 and 2026-11-25) give for them. Where a map leaves the
choice open, the code is the one that counts as less certain: a result that is not verified (R) or in part (S) is
preliminary. A request to cancel or hold (CA, HD) leaves an order active, as the guide says: it ends when that is
confirmed. Recurring patients and obstetrics have an own code in the guide and the ActCode of an outpatient and an
inpatient here.

The names of code systems are those of HL7 table 0396, and CPT as senders write it. A name with a star stands for all
that begin so and end with a year (national systems) or the number of a table of HL7. SNM, SNM3 and SNT are editions of
SNOMED before SNOMED CT, with other codes, so they have no address here.
"""

import csv
import re
from functools import cache
from pathlib import Path
from typing import Any

from cds_hooks.events.v2.message import Segment


@cache
def _tables() -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    with (Path(__file__).parent / "codes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            tables.setdefault(row["table"], {})[row["v2"]] = row["fhir"]
    return tables


def code_table(name: str) -> dict[str, str]:
    """Return the FHIR code of each code of a table."""
    return _tables()[name]


def code_system(name: str) -> str:
    """Return the address of a code system by its name in HL7 table 0396; one that is not known keeps its name.

    >>> code_system("C4"), code_system("HL70162"), code_system("ICD10GM2026")[-9:], code_system("SNM")
    ('http://www.ama-assn.org/go/cpt', 'http://terminology.hl7.org/CodeSystem/v2-0162', 'icd-10-gm', 'urn:v2:SNM')
    """
    systems = code_table("code-system")
    if name in systems:
        return systems[name]
    if re.fullmatch("HL7[0-9]{4}", name):
        return systems["HL7*"] + name[3:]
    family = re.sub("[0-9]{4}$", "*", name)
    return systems.get(family, f"urn:v2:{name}")


def mapped(table: str, code: str, system: str) -> list[dict[str, Any]]:
    """Return the coding that a table of the guide has for a code beside its own; none where it has none."""
    fhir = code_table(table).get(code.upper())
    return [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": fhir}] if fhir else []


def concept(segment: Segment, number: int, *, repetition: int = 0) -> dict[str, Any] | None:
    """Return the CodeableConcept of a field (CE, CWE, CNE) with both its codings; None where it is empty."""
    codings = []
    for start in (1, 4):
        code = segment.text(number, start, repetition=repetition)
        words = segment.text(number, start + 1, repetition=repetition)
        system = segment.text(number, start + 2, repetition=repetition)
        if code:
            coding = {"code": code}
            if system:
                coding["system"] = code_system(system)
            if words:
                coding["display"] = words
            codings.append(coding)
    text = segment.text(number, 9, repetition=repetition) or segment.text(number, 2, repetition=repetition)
    value: dict[str, Any] = {}
    if codings:
        value["coding"] = codings
    if text:
        value["text"] = text
    return value or None
