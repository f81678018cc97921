"""What codes say about a pregnancy, its end, and whether one can begin (tables/pregnancy.csv has the sources).

SNOMED CT, LOINC and RxNorm codes match exactly, ICD codes by prefix and only within their own code system.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, TypeAlias

from fhir.terminology.analytes import LOINC
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import SYSTEMS
from fhir.terminology.medications import table_rows

PregnancyMeaning: TypeAlias = Literal[
    "hcg",
    "status",
    "due",
    "gestation",
    "positive",
    "negative",
    "end",
    "infertile",
    "contraception",
    "contraception_ends",
]

_MIMIC = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-procedure-"
_SYSTEMS: Mapping[str, str] = {
    **SYSTEMS,
    LOINC: "loinc",
    "http://hl7.org/fhir/sid/icd-9-cm/procedure": "icd9proc",
    "http://terminology.hl7.org/CodeSystem/icd9": "icd9proc",
    "urn:oid:2.16.840.1.113883.6.104": "icd9proc",
    f"{_MIMIC}icd9": "icd9proc",
    "http://www.cms.gov/Medicare/Coding/ICD10": "icd10pcs",
    "urn:oid:2.16.840.1.113883.6.4": "icd10pcs",
    f"{_MIMIC}icd10": "icd10pcs",
}
_BY_PREFIX = ("icd10", "icd9", "icd9proc", "icd10pcs")
# Synthea writes 5880005 (physical examination) for the visit after a birth and for the first one in a pregnancy.
_EXAMINATION = "5880005"
_AFTER_BIRTH = re.compile(r"follow\w* (?:birth|abortion|delivery)", re.IGNORECASE)
# ICD-10-CM Z3A.08 to Z3A.42: so many completed weeks; Z3A.00, Z3A.01 and Z3A.49 name none.
_WEEKS = re.compile(r"Z3A\.?(0[89]|[1-3]\d|4[0-2])$")


@remembered("codes about pregnancy", entries=8192, longest=200)
def pregnancy_meaning(system: str | None, code: str | None) -> PregnancyMeaning | None:
    """What the code says, None for every other code.

    >>> use_of("http://loinc.org", "2106-3"), use_of("http://hl7.org/fhir/sid/icd-10-cm", "Z37.0")
    ('hcg', 'end')
    """
    short = _SYSTEMS.get(system or "")
    if short is None or not code:
        return None
    if short not in _BY_PREFIX:
        return _exact().get((short, code.strip()))
    bare = code.strip().replace(".", "").upper()
    return next((use for prefix, use in _prefixes().get(short, ()) if bare.startswith(prefix)), None)


def ends_pregnancy(system: str | None, code: str | None, words: str = "") -> bool:
    """Whether a code with its words says that a pregnancy is over: delivery, loss, abortion, care after birth."""
    if code == _EXAMINATION and SYSTEMS.get(system or "") == "snomed":
        return _AFTER_BIRTH.search(words) is not None
    return pregnancy_meaning(system, code) == "end"


def weeks_of_code(system: str | None, code: str | None) -> int | None:
    """The completed weeks that an ICD-10 code Z3A names."""
    found = _WEEKS.match((code or "").strip().upper()) if SYSTEMS.get(system or "") == "icd10" else None
    return int(found[1]) if found is not None else None


@cache
def contraceptives() -> frozenset[str]:
    """RxNorm codes of the ingredients that prevent a pregnancy."""
    return frozenset(_contraceptives("rxnorm"))


@cache
def contraceptive_words() -> tuple[str, ...]:
    """Brand names of what prevents a pregnancy and is in no other table."""
    return tuple(_contraceptives("words"))


def _contraceptives(system: str) -> list[str]:
    return [
        row["code"] for row in table_rows("pregnancy.csv") if (row["use"], row["system"]) == ("contraceptive", system)
    ]


@cache
def _exact() -> Mapping[tuple[str, str], PregnancyMeaning]:
    chosen = (row for row in table_rows("pregnancy.csv") if row["system"] not in (*_BY_PREFIX, "rxnorm", "words"))
    return {(row["system"], row["code"]): row["use"] for row in chosen}  # type: ignore[misc]  # table


@cache
def _prefixes() -> Mapping[str, list[tuple[str, PregnancyMeaning]]]:
    found: dict[str, list[tuple[str, PregnancyMeaning]]] = {}
    for row in table_rows("pregnancy.csv"):
        if row["system"] in _BY_PREFIX:
            found.setdefault(row["system"], []).append((row["code"], row["use"]))  # type: ignore[arg-type]  # table
    return found
