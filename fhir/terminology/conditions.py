"""Condition keys: which SNOMED CT, ICD-10 and ICD-9 codes mean heart failure, dialysis, pregnancy …

From shared/data/medications/conditions.csv, its notes turned into columns (`icd10_except`, `icd9_except`,
`when_resolved`). SNOMED codes match exactly, ICD codes by prefix and only within their own code system, with or
without dots. `?` in a prefix stands for any one character.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Literal

from msgspec import Struct

from fhir.terminology.medications import rows

SNOMED = "http://snomed.info/sct"
_MIMIC = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-"
# The addresses of the three code systems (terminology.hl7.org; OIDs of the HL7 registry; MIMIC on FHIR).
SYSTEMS: Mapping[str, Literal["snomed", "icd10", "icd9"]] = {
    SNOMED: "snomed",
    "urn:oid:2.16.840.1.113883.6.96": "snomed",
    "http://hl7.org/fhir/sid/icd-10": "icd10",
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "icd10",
    "urn:oid:2.16.840.1.113883.6.3": "icd10",
    "urn:oid:2.16.840.1.113883.6.90": "icd10",
    f"{_MIMIC}icd10": "icd10",
    "http://hl7.org/fhir/sid/icd-9": "icd9",
    "http://hl7.org/fhir/sid/icd-9-cm": "icd9",
    "urn:oid:2.16.840.1.113883.6.42": "icd9",
    "urn:oid:2.16.840.1.113883.6.103": "icd9",
    f"{_MIMIC}icd9": "icd9",
}


class ConditionKey(Struct, frozen=True, gc=False):
    """One key of the table; `when_resolved` is "any" where history counts, "5 years" where it counts that long."""

    key: str
    meaning: str
    when_resolved: Literal["", "any", "5 years"] = ""


class _Codes(Struct, frozen=True):
    snomed: Mapping[str, tuple[str, ...]]
    prefixes: Mapping[str, tuple[tuple[re.Pattern[str], re.Pattern[str] | None, str], ...]]


@cache
def condition_keys() -> Mapping[str, ConditionKey]:
    """Every condition key with its meaning."""
    return {
        row["key"]: ConditionKey(row["key"], row["meaning"], row["when_resolved"])  # type: ignore[arg-type]  # table
        for row in rows("conditions.csv")
    }


@lru_cache(maxsize=8192)
def keys_of(system: str | None, code: str | None) -> tuple[str, ...]:
    """The condition keys that a code means, () for none.

    >>> keys_of("http://hl7.org/fhir/sid/icd-10-cm", "N18.4"), keys_of("urn:other", "N18.4")
    (('ckd4',), ())
    """
    short = SYSTEMS.get(system or "")
    if short is None or not code:
        return ()
    if short == "snomed":
        return _codes().snomed.get(code.strip(), ())
    bare = code.strip().replace(".", "").upper()
    return tuple(
        key
        for pattern, excepted, key in _codes().prefixes[short]
        if pattern.match(bare) and not (excepted and excepted.match(bare))
    )


@cache
def _codes() -> _Codes:
    snomed: dict[str, tuple[str, ...]] = {}
    prefixes: dict[str, list[tuple[re.Pattern[str], re.Pattern[str] | None, str]]] = {"icd10": [], "icd9": []}
    for row in rows("conditions.csv"):
        for code in _items(row["snomed"]):
            snomed[code] = (*snomed.get(code, ()), row["key"])
        for system, found in prefixes.items():
            if row[system]:
                excepted = _prefixes(_items(row[f"{system}_except"])) if row[f"{system}_except"] else None
                found.append((_prefixes(_items(row[system])), excepted, row["key"]))
    return _Codes(snomed, {system: tuple(found) for system, found in prefixes.items()})


def _items(column: str) -> list[str]:
    return [item for item in column.split(";") if item]


def _prefixes(items: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(item.replace(".", "")).replace(r"\?", ".") for item in items))
