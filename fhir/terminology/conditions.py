"""Which SNOMED CT, ICD-10, ICD-9 and ICPC-2 codes mean which group of conditions: heart failure, dialysis, a pregnancy.

A group is one meaning for rules, models and services (tables/condition_groups.csv): its name, other ids that it goes
by, whether a condition of the past counts, which groups it implies, and how its ICD codes begin. SNOMED CT codes match
exactly (tables/condition_codes.csv: codes read in the sources that its column `source` names, without the names of
SNOMED CT, which are not ours to copy; a row without a group holds what was read and is in none), ICD codes by prefix
and only within their own code system, with or without dots; `?` in a prefix stands for any one character, and what
stands under `except` is left out.

Sources of condition_codes.csv, read 2026-11-22: `GPS` SNOMED CT Global Patient Set of 2020-09-30 as HL7 publishes it
(HL7/UTG@a19c263, CC BY 4.0; SNOMED CT is copyright SNOMED International); `OpenSAFELY` code lists of study repositories
(MIT); `OHDSI` OHDSI/PhenotypeLibrary@40106e4 (Apache-2.0); `Synthea` the codes of its charts that are in none of
the groups (Apache-2.0); `DO` Disease Ontology (CC0 1.0); `Mondo` (CC BY 4.0);
`today` and `project` the project's first lists. A code was put into a group where its name there fits the phrases of
the group, and read in samples of each group.

Codes of ICPC-2 mean a group where every code of ICD-10 that the Finnish code server refers to is in it, or where the
title of the code is the group (condition_icpc2.csv); a code that stands for several diseases means none.

A second table says what codes mean for a pregnancy, its end, and whether one can begin (tables/pregnancy.csv has the
sources). SNOMED CT, LOINC and RxNorm codes match exactly there, ICD codes as above.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fhir.terminology.caching import remembered
from fhir.terminology.imported import Meaning, is_used, meaning_of_code, meaning_of_name, plain_address
from fhir.terminology.medications import addresses_of, drug_system, table_rows

SNOMED = "http://snomed.info/sct"
CodeSystem: TypeAlias = Literal["snomed", "icd10", "sks", "icd9", "icpc2"]
SYSTEMS: Final[Mapping[str, CodeSystem]] = addresses_of("snomed", "icd10", "sks", "icd9", "icpc2")


_PLAIN_SYSTEMS = {address.lower(): short for address, short in SYSTEMS.items()}


def code_system(address: str | None) -> CodeSystem | None:
    """Which of the code systems an address names: with a version, a final slash, https or other capitals, too.

    >>> code_system("https://snomed.info/sct/900000000000207008/version/20240101"), code_system("urn:other")
    ('snomed', None)
    """
    if not address:
        return None
    plain = plain_address(address)
    return "snomed" if plain.startswith(f"{SNOMED}/") else _PLAIN_SYSTEMS.get(plain)


class ConditionGroup(Struct, frozen=True, gc=False):
    """One group; `history` is "any" or "5 years" where a past condition counts too, or so long, else empty.

    `history_in_words` says that "h/o stroke" on the list of problems, which is not resolved, counts; `is_lasting` that
    it counts where no word says that the disease is over ("h/o asthma", not "asthma, resolved"); `counts_from` names
    what tells of it beside the problem list (fhir/mapping/conditions.py): Procedure (a stent, a valve, a transplant),
    Device, Flag, CarePlan, Consent, DocumentReference, and the reason of an order or a visit. One that `passes` is over
    in "hepatitis A, recovered" although its code is active, unlike a leukemia in remission. Words of the group count
    beside a code of a group `beside` it, of the same organ or what comes with it: WPW beside atrial fibrillation.
    """

    key: str
    meaning: str
    history: Literal["", "any", "5 years"] = ""
    implies: tuple[str, ...] = ()
    history_in_words: bool = False
    counts_from: tuple[str, ...] = ()
    is_lasting: bool = False
    passes: bool = False
    beside: tuple[str, ...] = ()


class _Beginnings(Struct, frozen=True):
    """How the codes of a row begin: plain prefixes, and a pattern for those that are none, compiled when asked."""

    plain: tuple[str, ...]
    pattern: re.Pattern[str] | None = None

    def begin(self, code: str) -> bool:
        """Whether the code begins as one of these."""
        return code.startswith(self.plain) or (self.pattern is not None and self.pattern.match(code) is not None)


_CONCEPT = re.compile(r"\d{6,18}")


def _items(column: str) -> list[str]:
    return list(filter(None, column.split(";")))


def _prefixes(column: str) -> _Beginnings:
    """Prefixes of a column, in which `?` stands for any sign."""
    items = [item.replace(".", "") for item in _items(column)]
    unsure = [re.escape(item).replace(r"\?", ".") for item in items if "?" in item]
    plain = tuple(item for item in items if "?" not in item)
    return _Beginnings(plain, re.compile("|".join(unsure)) if unsure else None)


def _read_groups() -> Mapping[str, ConditionGroup]:
    groups: dict[str, ConditionGroup] = {}
    for row in _ROWS:
        implies = tuple(_items(row["implies"]))
        in_words = row["history_in_words"]
        group = ConditionGroup(
            row["group"],
            row["name"],
            row["history"],  # type: ignore[arg-type]  # table
            implies,
            in_words != "",
            tuple(_items(row["counts_from"])),
            in_words == "lasting",
            row["passes"] == "yes",
            tuple(_items(row["beside"])),
        )
        groups.update(dict.fromkeys((group.key, *_items(row["aliases"])), group))
    return groups


_ROWS: Final = tuple(table_rows("condition_groups.csv"))
CONDITION_GROUPS: Final[Mapping[str, ConditionGroup]] = _read_groups()
"""Every group by its id and by the other ids that it goes by."""


SITE_CODES: Final[dict[tuple[str, str], tuple[str, ...]]] = {}
"""The groups of a hospital's own codes, by the plain address of the code system and the code (site_conditions.py)."""


def add_group(key: str, meaning: str, history: str, implies: tuple[str, ...]) -> None:
    """Add a group of the hospital's own; `history` as in the table."""
    group = ConditionGroup(key, meaning, history, implies, bool(history))  # type: ignore[arg-type]  # checked there
    CONDITION_GROUPS[key] = group  # type: ignore[index]  # read once, before the first chart


def with_implied(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the groups with all that they imply, each once, those named first."""
    groups = list(dict.fromkeys(keys))
    for key in groups:  # grows while it is read
        groups.extend(
            implied.key
            for name in CONDITION_GROUPS[key].implies
            if (implied := CONDITION_GROUPS[name]).key not in groups
        )
    return tuple(groups)


_DIRECTIVE_CODES: Final = {(row["system"], row["code"]): (row["group"],) for row in table_rows("directive_codes.csv")}
"""The groups of kinds of documents and consents: a living will, an order not to resuscitate."""


def _groups_stated(system: str | None, code: str | None) -> tuple[str, ...]:
    key = (plain_address(system or ""), (code or "").strip())
    return SITE_CODES.get(key, ()) or _DIRECTIVE_CODES.get(key, ())


_LONGEST_CONCEPT_ID: Final = 18


@cache
def _snomed_codes() -> tuple[NDArray[np.int64], NDArray[np.int16], list[str]]:
    """Return the codes in ascending order, which row each is from, and the group of each row.

    Arrays, read without a string of each code: a dictionary would take 6 MB.
    """
    rows = [(row["group"], row["snomed"]) for row in table_rows("condition_codes.csv")]
    codes = np.fromstring(";".join(of_group for _, of_group in rows), np.int64, sep=";")
    counts = [of_group.count(";") + 1 for _, of_group in rows]
    order = np.argsort(codes, kind="stable")
    return codes[order], np.repeat(np.arange(len(rows), dtype=np.int16), counts)[order], [group for group, _ in rows]


def _snomed_rows(code: str) -> list[str]:
    """Return the groups of a code of SNOMED CT, "" for a code that was read and is in none."""
    if not (code.isascii() and code.isdigit() and len(code) <= _LONGEST_CONCEPT_ID) or code.startswith("0"):
        return []
    codes, rows, groups = _snomed_codes()
    first, end = codes.searchsorted(int(code)), codes.searchsorted(int(code), "right")
    return [groups[row] for row in rows[first:end]]


def _read_icpc2() -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for row in table_rows("condition_icpc2.csv"):
        for code in _items(row["icpc2"]):
            groups[code] = (*groups.get(code, ()), *_items(row["group"]))
    return groups


_ICPC2: Final[Mapping[str, tuple[str, ...]]] = _read_icpc2()
"""The groups of each code of ICPC-2 (condition_icpc2.csv), () for a code that was read and is in none."""


_PREFIXES: Final[Mapping[str, tuple[tuple[_Beginnings, _Beginnings, str], ...]]] = {
    system: tuple(
        (_prefixes(row[system]), _prefixes(row[f"{system}_except"]), row["group"]) for row in _ROWS if row[system]
    )
    for system in ("icd10", "icd9")
}


def imported_meaning(system: str | None, code: str | None) -> Meaning | None:
    """Return what the imported releases say of a code, of SNOMED CT or of any other code system; None without one."""
    if not is_used() or not code:
        return None
    return meaning_of_code(code_system(system) or drug_system(system) or plain_address(system or ""), code)


def is_not_read(text: str, codings: Iterable[tuple[str | None, str | None]]) -> bool:
    """Whether a site's list of look-alikes says that a code or the whole text must not be read."""
    if not is_used():
        return False
    meanings = (meaning_of_name(text) if text else None, *(imported_meaning(system, code) for system, code in codings))
    return any(meaning is not None and meaning.nothing for meaning in meanings)


def is_known_condition(system: str | None, code: str | None) -> bool:
    """Whether a code is understood, also where it means none of the groups: an ICD code is, of SNOMED CT those read.

    >>> is_known_condition(SNOMED, "195662009"), is_known_condition(SNOMED, "1")
    (True, False)
    """
    short = code_system(system)
    if imported_meaning(system, code) is not None:
        return True
    if _groups_stated(system, code) or (plain_address(system or ""), (code or "").strip()) in SITE_CODES:
        return True
    if not code or short is None:
        return False
    if short == "icpc2":
        return code.strip().upper() in _ICPC2
    if short == "sks":
        return code.strip().upper().startswith("D")
    return short != "snomed" or bool(_snomed_rows(code.strip())) or pregnancy_meaning(system, code) is not None


@remembered("conditions of a code", entries=8192, longest=200)
def condition_groups_of(system: str | None, code: str | None) -> tuple[str, ...]:
    """Return the groups that a code means, with those that they imply; () for none.

    >>> condition_groups_of("http://hl7.org/fhir/sid/icd-10-cm", "N18.4"), condition_groups_of("urn:other", "N18.4")
    (('ckd4', 'ckd_any', 'renal_insufficiency'), ())
    """
    imported = imported_meaning(system, code)
    if imported is None:
        return _groups_of_tables(system, code)
    return () if imported.nothing else with_implied((*_groups_of_tables(system, code), *imported.groups))


def _groups_of_tables(system: str | None, code: str | None) -> tuple[str, ...]:
    short = code_system(system)
    if stated := _groups_stated(system, code):
        return with_implied(stated)
    if short is None or not code or (short == "icd9" and 0 < code.find(".") < 3):  # 45.82 is a procedure
        return ()
    if short == "snomed":
        # A post-coordinated expression means what its focus concepts mean: 84114007 |Heart failure| : 246112005 = …
        concepts = _CONCEPT.findall(code.partition(":")[0])
        return with_implied(group for concept in concepts for group in _snomed_rows(concept) if group)
    if short == "icpc2":
        return with_implied(_ICPC2.get(code.strip().upper(), ()))
    bare = code.strip().replace(".", "").upper()
    if short == "sks":
        if not bare.startswith("D"):
            return ()  # SKS has operations and examinations, too
        short, bare = "icd10", bare[1:]
    return with_implied(
        key for start, excepted, key in _PREFIXES[short] if start.begin(bare) and not excepted.begin(bare)
    )


SmokingStatus = Literal["current", "former", "never", "not current", "missing"]


class CharlsonItem(Struct, frozen=True, gc=False):
    """One item of the comorbidity index: any of its groups gives the points; of one `family` the highest counts."""

    words: str
    groups: tuple[str, ...]
    points: int
    family: str


_NOT_LETTERS = re.compile(r"[^a-z]+")


def _plain_answer(words: str) -> str:
    return _NOT_LETTERS.sub(" ", re.sub(r"\([^)]{0,200}\)", " ", words.lower())).strip()


SMOKING_ANSWERS: Final[Mapping[str, SmokingStatus]] = {
    row["code"]: row["status"]  # type: ignore[misc]  # our own table
    for row in table_rows("smoking_status.csv")
    if row["code"]
}
"""What an answer to LOINC 72166-2 means, by its code (SNOMED CT or LOINC)."""

_SMOKING_WORDS: Final[Mapping[str, SmokingStatus]] = {
    _plain_answer(row["meaning"]): row["status"]  # type: ignore[misc]  # our own table
    for row in reversed(table_rows("smoking_status.csv"))
}


def smoking_answer_in_words(words: str) -> SmokingStatus | None:
    """Return what an answer without a known code says; None for words that are no answer of the list.

    >>> smoking_answer_in_words("Current Every Day Smoker"), smoking_answer_in_words("Vapes")
    ('current', None)
    """
    return _SMOKING_WORDS.get(_plain_answer(words))


CHARLSON_ITEMS: Final[tuple[CharlsonItem, ...]] = tuple(
    CharlsonItem(row["item"], tuple(row["groups"].split(";")), int(row["points"]), row["counts_once_with"])
    for row in table_rows("charlson_lace.csv")
)
"""The items of the Charlson index with the points that LACE gives them."""


PregnancyMeaning: TypeAlias = Literal[
    "hcg",
    "status",
    "due",
    "gestation",
    "period",
    "feeding",
    "positive",
    "negative",
    "end",
    "infertile",
    "contraception",
    "contraception_ends",
]

_PREGNANCY_SYSTEMS: Final = {**SYSTEMS, **addresses_of("loinc", "icd9proc", "icd10pcs")}
_BY_PREFIX = ("icd10", "icd9", "icd9proc", "icd10pcs")
# Synthea writes 5880005 (physical examination) for the visit after a birth and for the first one in a pregnancy.
_EXAMINATION = "5880005"
_AFTER_BIRTH = re.compile(r"follow\w{0,10} (?:birth|abortion|delivery)", re.IGNORECASE)
# ICD-10-CM Z3A.08 to Z3A.42: so many completed weeks; Z3A.00, Z3A.01 and Z3A.49 name none.
_NAME_WORD = re.compile(r"[^\W_]+")
_LONGEST_NAME = 80
_WEEKS = re.compile(r"Z3A\.?(0[89]|[1-3]\d|4[0-2])$")


def pregnancy_meaning(system: str | None, code: str | None) -> PregnancyMeaning | None:
    """Return what the code says, None for every other code.

    >>> pregnancy_meaning("http://loinc.org", "2106-3"), pregnancy_meaning("http://hl7.org/fhir/sid/icd-10-cm", "Z37.0")
    ('hcg', 'end')
    """
    short = code_system(system) or _PREGNANCY_SYSTEMS.get(system or "")
    if short is None or not code:
        return None
    if short not in _BY_PREFIX:
        return _PREGNANCY_CODES.get((short, code.strip()))
    bare = code.strip().replace(".", "").upper()
    return next((use for prefix, use in _PREGNANCY_PREFIXES.get(short, ()) if bare.startswith(prefix)), None)


# Words that say where and how a pregnancy test was done, and not which result it is.
_OF_TEST = re.compile(
    r"point of care|\b(?:poct?|urine|ur|u|serum|ser|blood|plasma|qual\w*|quant\w*|ql|qn|beta|b|ß|β|sub-?unit|intact"
    r"|total|tests?|screen\w*|rapid|home|result|level|in|lab|prueba|teste|de|di|du)\b"
)


def pregnancy_meaning_of_name(name: str) -> PregnancyMeaning | None:
    """Return what a result says by its whole name, None for any other.

    >>> pregnancy_meaning_of_name("hCG, urine (qualitative)"), pregnancy_meaning_of_name("POC Pregnancy Test")
    ('hcg', 'hcg')
    >>> pregnancy_meaning_of_name("Free beta-hCG, first trimester screen"), pregnancy_meaning_of_name("Pregnancies")
    (None, None)
    """
    if len(name) > _LONGEST_NAME:
        return None
    return _PREGNANCY_NAMES.get(" ".join(_NAME_WORD.findall(_OF_TEST.sub(" ", name.lower()))))


def ends_pregnancy(system: str | None, code: str | None, words: str = "") -> bool:
    """Whether a code with its words says that a pregnancy is over: delivery, loss, abortion, care after birth."""
    if code == _EXAMINATION and code_system(system) == "snomed":
        return _AFTER_BIRTH.search(words) is not None
    return pregnancy_meaning(system, code) == "end"


def weeks_of_code(system: str | None, code: str | None) -> int | None:
    """Return the completed weeks that an ICD-10 code Z3A names."""
    match = _WEEKS.match((code or "").strip().upper()) if code_system(system) == "icd10" else None
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
    others = (*_BY_PREFIX, "rxnorm", "words")
    chosen = (row for row in table_rows("pregnancy.csv") if row["system"] not in others)
    return {(row["system"], row["code"]): row["use"] for row in chosen}  # type: ignore[misc]  # table


_PREGNANCY_CODES: Final[Mapping[tuple[str, str], PregnancyMeaning]] = _read_exact()
_PREGNANCY_NAMES: Final[Mapping[str, PregnancyMeaning]] = {
    name: use for (system, name), use in _PREGNANCY_CODES.items() if system == "name"
}


def _read_pregnancy_prefixes() -> Mapping[str, list[tuple[str, PregnancyMeaning]]]:
    pregnancy_prefixes: dict[str, list[tuple[str, PregnancyMeaning]]] = {}
    for row in table_rows("pregnancy.csv"):
        if row["system"] in _BY_PREFIX:
            pregnancy_prefixes.setdefault(row["system"], []).append((row["code"], row["use"]))  # type: ignore[arg-type]  # table
    return pregnancy_prefixes


_PREGNANCY_PREFIXES: Final[Mapping[str, list[tuple[str, PregnancyMeaning]]]] = _read_pregnancy_prefixes()
