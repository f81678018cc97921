"""Discharge destinations: the codes of several code systems as one list.

Code systems: HL7 discharge-disposition (FHIR R4), the NUBC patient discharge status of US claims (UB-04 field 17), and
that of MIMIC on FHIR. Codes that say neither, or "still a patient", are no destination.
"""

from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from fhir.terminology.medications import table_rows


class Destination(Struct, frozen=True, gc=False):
    """One destination: its key and a clinician's words."""

    key: str
    words: str


@cache
def destinations() -> tuple[Destination, ...]:
    """All of them in the order of the table, which is the order of the codes of the feature `discharge_destination`."""
    return tuple(Destination(row["key"], row["words"]) for row in table_rows("discharge_destinations.csv"))


def destination_of(code: str | None) -> Destination | None:
    """The destination that a code of a discharge disposition names; None where it names none that is known.

    >>> destination_of("03").key, destination_of("snf").key, destination_of("30")
    ('skilled_nursing', 'skilled_nursing', None)
    """
    return _by_code().get(_normal(code or ""))


@cache
def _by_code() -> Mapping[str, Destination]:
    found: dict[str, Destination] = {}
    for row, destination in zip(table_rows("discharge_destinations.csv"), destinations(), strict=True):
        for column in ("nubc", "hl7", "mimic"):
            found |= {_normal(code): destination for code in row[column].split(";") if code}
    return found


def _normal(code: str) -> str:
    # 01 and 1 are the same status of a claim
    return code.strip().upper().lstrip("0")
