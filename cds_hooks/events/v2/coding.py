"""Maps coded fields of HL7 v2 to FHIR, by the code tables of HL7's v2-to-FHIR guide (`codes.csv`).

`codes.csv` has the codes of HL7's tables 0001, 0004, 0085, 0119 and 0322 with what the concept maps of the guide
(HL7 Version 2 to FHIR, spreadsheets, read 2026-11-22) give for them. Where a map leaves the choice open, the code is
the one that counts as less certain: a result that is not verified (R) or in part (S) is preliminary. A request to
cancel or hold (CA, HD) leaves an order active, as the guide says: it ends when that is confirmed. Recurring patients
and obstetrics have an own code in the guide and the ActCode of an outpatient and an inpatient here. The names of code
systems are those of HL7 table 0396.
"""

import csv
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


def concept(segment: Segment, number: int, *, repetition: int = 0) -> dict[str, Any] | None:
    """Return the CodeableConcept of a field (CE, CWE, CNE) with both its codings; None where it is empty."""
    systems = code_table("code-system")
    codings = []
    for start in (1, 4):
        code = segment.text(number, start, repetition=repetition)
        words = segment.text(number, start + 1, repetition=repetition)
        system = segment.text(number, start + 2, repetition=repetition)
        if code:
            coding = {"code": code}
            if system:
                coding["system"] = systems.get(system, f"urn:v2:{system}")
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
