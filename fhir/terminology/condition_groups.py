"""Condition groups: which codes mean diabetes, heart failure, a stroke … as models and equations count them.

From shared/data/codes/condition_groups.csv (prefixes after Quan 2005 and public MIT-LCP/mimic-code; SNOMED CT codes
exact). These are features; the keys of tables/conditions.csv are those of the order rules, whose fuller table wins
there. Two tables, because they answer two questions: what an order must not meet, and what a study counted.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Literal

from msgspec import Struct

from fhir.terminology.conditions import SYSTEMS
from fhir.terminology.medications import rows

SmokingStatus = Literal["current", "former", "never", "missing"]


class ConditionGroup(Struct, frozen=True, gc=False):
    """One group: `keeps` says that it counts for good, also when it is resolved (a stroke, a transplant)."""

    key: str
    meaning: str
    keeps: bool


class CharlsonItem(Struct, frozen=True, gc=False):
    """One item of the comorbidity index: any of its groups gives the points; of one `family` the highest counts."""

    words: str
    groups: tuple[str, ...]
    points: int
    family: str


@cache
def condition_groups() -> Mapping[str, ConditionGroup]:
    """Every group by its key."""
    return {
        row["key"]: ConditionGroup(row["key"], row["meaning"], row["when_resolved"] == "any")
        for row in rows("condition_groups.csv")
    }


@lru_cache(maxsize=8192)
def groups_of(system: str | None, code: str | None) -> tuple[str, ...]:
    """The groups that a code belongs to, () for none; ICD codes with or without dots, within their own system.

    >>> groups_of("http://hl7.org/fhir/sid/icd-10-cm", "E11.22")
    ('diabetes', 'diabetes_complicated', 'ckd_any')
    """
    short = SYSTEMS.get(system or "")
    if short is None or not code:
        return ()
    if short == "snomed":
        return _snomed().get(code.strip(), ())
    bare = code.strip().replace(".", "").upper()
    return tuple(key for pattern, key in _prefixes(short) if pattern.match(bare))


@cache
def smoking_answers() -> Mapping[str, SmokingStatus]:
    """What an answer to LOINC 72166-2 means, by its code (SNOMED CT or LOINC)."""
    return {row["code"]: row["status"] for row in rows("smoking_status.csv")}  # type: ignore[misc]  # our own table


@cache
def charlson_items() -> tuple[CharlsonItem, ...]:
    """The items of the Charlson index with the points that LACE gives them."""
    return tuple(
        CharlsonItem(row["item"], tuple(row["groups"].split(";")), int(row["points"]), row["counts_once_with"])
        for row in rows("charlson_lace.csv")
    )


@cache
def _snomed() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in rows("condition_groups.csv"):
        for code in filter(None, row["snomed"].split(";")):
            found[code] = (*found.get(code, ()), row["key"])
    return found


@cache
def _prefixes(system: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    listed = ((row[system], row["key"]) for row in rows("condition_groups.csv"))
    return tuple((re.compile(codes.replace(";", "|")), key) for codes, key in listed if codes)
