"""Where a stay in hospital ends, by the code of a discharge disposition or by its words.

The codes of several code systems are one list: HL7 discharge-disposition (FHIR R4), the NUBC patient discharge status
of US claims (UB-04 field 17), and that of MIMIC on FHIR. Codes that say neither, or "still a patient", are none.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from fhir.record.datatypes import CodeableConcept
from fhir.terminology.medications import table_rows


class Destination(Struct, frozen=True, gc=False):
    """One destination: its key and a clinician's words."""

    key: str
    words: str


DESTINATIONS: Final[tuple[Destination, ...]] = tuple(
    Destination(row["key"], row["words"]) for row in table_rows("discharge_destinations.csv")
)
"""All of them in the order of the table, which is the order of the codes of the feature `discharge_destination`."""


def destination_of(code: str | None) -> Destination | None:
    """Return the destination that a code of a discharge disposition names; None where it names none that is known.

    >>> destination_of("03").key, destination_of("snf").key, destination_of("30")
    ('skilled_nursing', 'skilled_nursing', None)
    """
    return _DESTINATION_BY_CODE.get(_normal(code or ""))


# The first that is found says where: a "nursing home" is no home.
_WORDS = (
    ("hospice", ("hospice",)),
    ("long_term_hospital", ("long-term acute", "long term acute", "ltac")),
    ("psychiatric", ("psychiatric hospital", "psychiatric facility", "psychiatric unit")),
    ("died", ("died", "expired", "deceased")),
    ("skilled_nursing", ("skilled nursing", "nursing facility", "snf")),
    ("intermediate_care", ("nursing home", "long-term care", "long term care", "intermediate care")),
    ("rehabilitation", ("rehab",)),
    ("home_health", ("home health",)),
    ("home", ("home",)),
    ("hospital", ("another hospital", "other hospital", "acute care hospital", "general hospital", "acute hospital")),
)


def destination_in_words(text: str) -> Destination | None:
    """Return the destination that words name; None where they name none that is known.

    >>> destination_in_words("Transfer to SNF").key, destination_in_words("Sunrise Nursing Home").key
    ('skilled_nursing', 'intermediate_care')
    """
    lower = text.lower()
    key = next((key for key, words in _WORDS if any(word in lower for word in words)), None)
    return next((destination for destination in DESTINATIONS if destination.key == key), None)


# HL7 discharge-disposition and its table 0112, NUBC, MIMIC. Without a system the code may be one of them; a number of
# another system ("6" of Epic) is none.
_OF_DISPOSITIONS = re.compile(r"discharge|nubc|0112|113883\.(?:6\.301\.5|12\.112)$", re.IGNORECASE)


def destination_named(disposition: CodeableConcept | None) -> Destination | None:
    """Where a discharge disposition says that the patient goes: by its codes, else by its words."""
    if disposition is None:
        return None
    codes = (
        coding.code for coding in disposition.coding if not coding.system or _OF_DISPOSITIONS.search(coding.system)
    )
    destinations = (*map(destination_of, codes), *map(destination_in_words, disposition.texts))
    return next((destination for destination in destinations if destination is not None), None)


def _read_by_code() -> Mapping[str, Destination]:
    destination_by_code: dict[str, Destination] = {}
    for row, destination in zip(table_rows("discharge_destinations.csv"), DESTINATIONS, strict=True):
        for column in ("nubc", "hl7", "mimic"):
            destination_by_code |= {_normal(code): destination for code in row[column].split(";") if code}
    return destination_by_code


def _normal(code: str) -> str:
    # 01 and 1 are the same status of a claim
    return code.strip().upper().lstrip("0")


_DESTINATION_BY_CODE: Final[Mapping[str, Destination]] = _read_by_code()
