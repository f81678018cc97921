"""Which SNOMED CT, ICD-10 and ICD-9 codes mean heart failure, dialysis, pregnancy: keys for rules, groups for models.

There are two tables, because they answer two questions: what an order must not meet (tables/conditions.csv, from
shared/data/medications/conditions.csv) and what a study counted (tables/condition_groups.csv, from
shared/data/codes/condition_groups.csv; prefixes after Quan 2005 and public MIT-LCP/mimic-code). SNOMED codes match
exactly, ICD codes by prefix and only within their own code system, with or without dots. `?` in a prefix stands for
any one character.

Where the two tables disagree, each is used for its own question only; the table for orders is the fuller one. Its notes
are columns here: `icd10_except`, `icd9_except` and `when_resolved`.

A third table says what codes mean for a pregnancy, its end, and whether one can begin (tables/pregnancy.csv has the
sources). SNOMED CT, LOINC and RxNorm codes match exactly there, ICD codes as above.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from fhir.terminology.analytes import LOINC
from fhir.terminology.caching import remembered
from fhir.terminology.late_pattern import late_pattern
from fhir.terminology.medications import table_rows

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
    """One key of the table; `when_resolved` is "any" or "5 years" where a past condition counts too, or so long."""

    key: str
    meaning: str
    when_resolved: Literal["", "any", "5 years"] = ""


class _Beginnings(Struct, frozen=True):
    """How the codes of a row begin: plain prefixes, and a pattern for those that are none, compiled when asked."""

    plain: tuple[str, ...]
    pattern: re.Pattern[str] | None = None

    def begin(self, code: str) -> bool:
        """Whether the code begins as one of these."""
        return code.startswith(self.plain) or (self.pattern is not None and self.pattern.match(code) is not None)


class _Codes(Struct, frozen=True):
    snomed: Mapping[str, tuple[str, ...]]
    prefixes: Mapping[str, tuple[tuple[_Beginnings, _Beginnings, str], ...]]


CONDITION_KEYS: Final[Mapping[str, ConditionKey]] = {
    row["key"]: ConditionKey(row["key"], row["meaning"], row["when_resolved"])  # type: ignore[arg-type]  # table
    for row in table_rows("conditions.csv")
}
"""Every condition key with its meaning."""


@remembered("conditions of a code", entries=8192, longest=200)
def condition_meaning(system: str | None, code: str | None) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The condition keys and the groups of a code, looked up at once; None for a code that means neither."""
    meanings = condition_keys_of(system, code), condition_groups_of(system, code)
    return meanings if any(meanings) else None


def condition_keys_of(system: str | None, code: str | None) -> tuple[str, ...]:
    """The condition keys that a code means, () for none.

    >>> condition_keys_of("http://hl7.org/fhir/sid/icd-10-cm", "N18.4"), condition_keys_of("urn:other", "N18.4")
    (('ckd4',), ())
    """
    short = SYSTEMS.get(system or "")
    if short is None or not code:
        return ()
    if short == "snomed":
        return _CODES.snomed.get(code.strip(), ())
    bare = code.strip().replace(".", "").upper()
    return tuple(
        key for start, excepted, key in _CODES.prefixes[short] if start.begin(bare) and not excepted.begin(bare)
    )


def _read_codes() -> _Codes:
    snomed: dict[str, tuple[str, ...]] = {}
    prefixes: dict[str, list[tuple[_Beginnings, _Beginnings, str]]] = {"icd10": [], "icd9": []}
    for row in table_rows("conditions.csv"):
        for code in _items(row["snomed"]):
            snomed[code] = (*snomed.get(code, ()), row["key"])
        for system, prefix_rows in prefixes.items():
            if row[system]:
                prefix_rows.append((_prefixes(row[system]), _prefixes(row[f"{system}_except"]), row["key"]))
    return _Codes(snomed, {system: tuple(keys) for system, keys in prefixes.items()})


def _items(column: str) -> list[str]:
    return [item for item in column.split(";") if item]


def _prefixes(column: str) -> _Beginnings:
    """Prefixes of a column, in which `?` stands for any sign."""
    items = [item.replace(".", "") for item in _items(column)]
    unsure = [re.escape(item).replace(r"\?", ".") for item in items if "?" in item]
    return _beginnings((item for item in items if "?" not in item), unsure)


def _beginnings(plain: Iterable[str], patterns: Sequence[str]) -> _Beginnings:
    return _Beginnings(tuple(plain), late_pattern("|".join(patterns)) if patterns else None)


_CODES: Final[_Codes] = _read_codes()


SmokingStatus = Literal["current", "former", "never", "not current", "missing"]


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


CONDITION_GROUPS: Final[Mapping[str, ConditionGroup]] = {
    row["key"]: ConditionGroup(row["key"], row["meaning"], row["when_resolved"] == "any")
    for row in table_rows("condition_groups.csv")
}
"""Every group by its key."""


def condition_groups_of(system: str | None, code: str | None) -> tuple[str, ...]:
    """The groups that a code belongs to, () for none; ICD codes with or without dots, within their own system.

    >>> condition_groups_of("http://hl7.org/fhir/sid/icd-10-cm", "E11.22")
    ('diabetes', 'diabetes_complicated', 'ckd_any')
    """
    short = SYSTEMS.get(system or "")
    if short is None or not code:
        return ()
    if short == "snomed":
        return _SNOMED_GROUPS.get(code.strip(), ())
    bare = code.strip().replace(".", "").upper()
    return tuple(key for start, key in _GROUP_PREFIXES[short] if start.begin(bare))


_NOT_LETTERS = re.compile(r"[^a-z]+")


def _plain_answer(words: str) -> str:
    return _NOT_LETTERS.sub(" ", re.sub(r"\(.*?\)", " ", words.lower())).strip()


SMOKING_ANSWERS: Final[Mapping[str, SmokingStatus]] = {
    row["code"]: row["status"]  # type: ignore[misc]  # our own table
    for row in table_rows("smoking_status.csv")
}
"""What an answer to LOINC 72166-2 means, by its code (SNOMED CT or LOINC)."""

_MORE_SMOKING_WORDS: Mapping[str, SmokingStatus] = {
    "current smoker": "current",
    "every day smoker": "current",
    "some day smoker": "current",
    "daily smoker": "current",
    "smokes tobacco": "current",
    "smoker": "current",
    "former tobacco smoker": "former",
    "former": "former",
    "past smoker": "former",
    "quit": "former",
    "never": "never",
    "never smoked": "never",
    "never a smoker": "never",
    "never tobacco smoker": "never",
    "non smoker": "not current",  # somebody who stopped is one, too
    "nonsmoker": "not current",
    "unknown": "missing",
    "not asked": "missing",
    "never assessed": "missing",
}
_SMOKING_WORDS: Final[Mapping[str, SmokingStatus]] = {
    **_MORE_SMOKING_WORDS,
    **{_plain_answer(row["meaning"]): row["status"] for row in table_rows("smoking_status.csv")},  # type: ignore[misc]
}


def smoking_answer_in_words(words: str) -> SmokingStatus | None:
    """What an answer without a known code says; None for words that are no answer of the list.

    >>> smoking_answer_in_words("Current Every Day Smoker"), smoking_answer_in_words("Vapes")
    ('current', None)
    """
    return _SMOKING_WORDS.get(_plain_answer(words))


CHARLSON_ITEMS: Final[tuple[CharlsonItem, ...]] = tuple(
    CharlsonItem(row["item"], tuple(row["groups"].split(";")), int(row["points"]), row["counts_once_with"])
    for row in table_rows("charlson_lace.csv")
)
"""The items of the Charlson index with the points that LACE gives them."""


def _read_snomed_groups() -> Mapping[str, tuple[str, ...]]:
    snomed_groups: dict[str, tuple[str, ...]] = {}
    for row in table_rows("condition_groups.csv"):
        for code in filter(None, row["snomed"].split(";")):
            snomed_groups[code] = (*snomed_groups.get(code, ()), row["key"])
    return snomed_groups


_SNOMED_GROUPS: Final[Mapping[str, tuple[str, ...]]] = _read_snomed_groups()


def _group_prefixes(column: str) -> _Beginnings:
    """Prefixes of a column, some of which are regular expressions."""
    items = _items(column)
    return _beginnings(filter(str.isalnum, items), [item for item in items if not item.isalnum()])


_GROUP_PREFIXES: Final[Mapping[str, tuple[tuple[_Beginnings, str], ...]]] = {
    system: tuple(
        (_group_prefixes(row[system]), row["key"]) for row in table_rows("condition_groups.csv") if row[system]
    )
    for system in ("icd10", "icd9")
}


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

_MIMIC_PROCEDURE = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-procedure-"
_PREGNANCY_SYSTEMS: Mapping[str, str] = {
    **SYSTEMS,
    LOINC: "loinc",
    "http://hl7.org/fhir/sid/icd-9-cm/procedure": "icd9proc",
    "http://terminology.hl7.org/CodeSystem/icd9": "icd9proc",
    "urn:oid:2.16.840.1.113883.6.104": "icd9proc",
    f"{_MIMIC_PROCEDURE}icd9": "icd9proc",
    "http://www.cms.gov/Medicare/Coding/ICD10": "icd10pcs",
    "urn:oid:2.16.840.1.113883.6.4": "icd10pcs",
    f"{_MIMIC_PROCEDURE}icd10": "icd10pcs",
}
_BY_PREFIX = ("icd10", "icd9", "icd9proc", "icd10pcs")
# Synthea writes 5880005 (physical examination) for the visit after a birth and for the first one in a pregnancy.
_EXAMINATION = "5880005"
_AFTER_BIRTH = re.compile(r"follow\w* (?:birth|abortion|delivery)", re.IGNORECASE)
# ICD-10-CM Z3A.08 to Z3A.42: so many completed weeks; Z3A.00, Z3A.01 and Z3A.49 name none.
_WEEKS = re.compile(r"Z3A\.?(0[89]|[1-3]\d|4[0-2])$")


def pregnancy_meaning(system: str | None, code: str | None) -> PregnancyMeaning | None:
    """What the code says, None for every other code.

    >>> pregnancy_meaning("http://loinc.org", "2106-3"), pregnancy_meaning("http://hl7.org/fhir/sid/icd-10-cm", "Z37.0")
    ('hcg', 'end')
    """
    short = _PREGNANCY_SYSTEMS.get(system or "")
    if short is None or not code:
        return None
    if short not in _BY_PREFIX:
        return _PREGNANCY_CODES.get((short, code.strip()))
    bare = code.strip().replace(".", "").upper()
    return next((use for prefix, use in _PREGNANCY_PREFIXES.get(short, ()) if bare.startswith(prefix)), None)


def ends_pregnancy(system: str | None, code: str | None, words: str = "") -> bool:
    """Whether a code with its words says that a pregnancy is over: delivery, loss, abortion, care after birth."""
    if code == _EXAMINATION and SYSTEMS.get(system or "") == "snomed":
        return _AFTER_BIRTH.search(words) is not None
    return pregnancy_meaning(system, code) == "end"


def weeks_of_code(system: str | None, code: str | None) -> int | None:
    """The completed weeks that an ICD-10 code Z3A names."""
    match = _WEEKS.match((code or "").strip().upper()) if SYSTEMS.get(system or "") == "icd10" else None
    return int(match[1]) if match is not None else None


def _contraceptives(system: str) -> list[str]:
    return [
        row["code"] for row in table_rows("pregnancy.csv") if (row["use"], row["system"]) == ("contraceptive", system)
    ]


CONTRACEPTIVE_WORDS: Final[tuple[str, ...]] = tuple(_contraceptives("words"))
"""Brand names of what prevents a pregnancy and is in no other table."""


CONTRACEPTIVES: Final[frozenset[str]] = frozenset(_contraceptives("rxnorm"))
"""RxNorm codes of the ingredients that prevent a pregnancy."""


def _read_exact() -> Mapping[tuple[str, str], PregnancyMeaning]:
    chosen = (row for row in table_rows("pregnancy.csv") if row["system"] not in (*_BY_PREFIX, "rxnorm", "words"))
    return {(row["system"], row["code"]): row["use"] for row in chosen}  # type: ignore[misc]  # table


_PREGNANCY_CODES: Final[Mapping[tuple[str, str], PregnancyMeaning]] = _read_exact()


def _read_pregnancy_prefixes() -> Mapping[str, list[tuple[str, PregnancyMeaning]]]:
    pregnancy_prefixes: dict[str, list[tuple[str, PregnancyMeaning]]] = {}
    for row in table_rows("pregnancy.csv"):
        if row["system"] in _BY_PREFIX:
            pregnancy_prefixes.setdefault(row["system"], []).append((row["code"], row["use"]))  # type: ignore[arg-type]  # table
    return pregnancy_prefixes


_PREGNANCY_PREFIXES: Final[Mapping[str, list[tuple[str, PregnancyMeaning]]]] = _read_pregnancy_prefixes()
