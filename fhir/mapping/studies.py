"""What an ordered study or test is: imaging, laboratory and screening tests, by LOINC code or by words.

The columns of `studies.csv` (modality, region, contrast, whether the uterus is in the beam) were derived from the LOINC
names of eCQM value sets (MIT, canvas-medical/canvas-plugins@344f0bcb924b). Half of the CT codes do not say whether
contrast is given: then the order's words decide, and where they say nothing it is not known.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from fhir.mapping.study_words import (
    LONGEST,
    exposes_uterus,
    goes_into_an_artery,
    is_of_lumbar_spine,
    loinc_of_words,
    modality_named,
    says_contrast,
    screening_imaging_named,
)
from fhir.terminology.analytes import LOINC_OR_UNNAMED
from fhir.terminology.medications import table_rows

_URGENT = frozenset({"stat", "asap"})
# Tests that are done more often in some states (notes of lab_intervals.csv): groups of their own.
_TESTED_SOONER: Final = frozenset({"hba1c", "tsh"})
SCREENING: Final = frozenset({"psa", "cervical", "hpv", "dxa", "lung_ct", "mammography", "aorta", "colonoscopy"})
"""The groups of tests whose last result decides when the next screening is due."""


class NamedStudy(Struct, frozen=True):
    """A row of named_studies.csv: a group of tests, imaging or procedures by LOINC codes and by words."""

    group: str
    loincs: frozenset[str]
    words: re.Pattern[str] | None
    unless: re.Pattern[str] | None

    def is_named(self, words: str) -> bool:
        """Whether words name such a study, and none of those that make something else of it."""
        is_other = self.unless is not None and self.unless.search(words) is not None
        return self.words is not None and self.words.search(words) is not None and not is_other


class StudyCode(Struct, frozen=True):
    """A row of studies.csv; the name is there only of a code that is offered in place of another."""

    modality: str
    region: str
    contrast: str
    uterus: bool
    screening: bool
    without_contrast: str
    name: str


class RetestInterval(Struct, frozen=True):
    """A row of retest_intervals.csv: a test with its codes and those of its panels, and the least days between two.

    The days are the shortest of the sources that were read. Outside `normal_low` to `normal_high`, where they are
    given and the result has one of the `units`, a result is clearly abnormal (TSH: NHANES III; general knowledge that
    can only silence a card). `apart` says where the codes are different tests: "always" (calcium, phosphate), or only
    "twice" where they are ordered on one day (TSH, free T4); `panels` hold all of them, `methods` are of one test.
    """

    key: str
    name: str
    loincs: frozenset[str]
    days: float
    normal_low: float | None
    normal_high: float | None
    units: frozenset[str]
    panels: frozenset[str]
    methods: frozenset[str]
    apart: str
    source: str

    def is_same(self, ordered: str, other: str) -> bool:
        """Whether two codes of the row are of one test: the same, two methods of it, or a panel with its member."""
        return ordered == other or {ordered, other} <= self.methods or bool({ordered, other} & self.panels)

    def spares(self, ordered: str, result: str) -> bool:
        """Whether a result under the one code can spare a test under the other."""
        return result in self.loincs and (self.apart != "always" or self.is_same(ordered, result))

    def repeats(self, ordered: str, other: str) -> bool:
        """Whether an order under the one code is the same as an order under the other."""
        return other in self.loincs and (not self.apart or self.is_same(ordered, other))


class Study(Struct, frozen=True):
    """What is ordered: words for a card, LOINC codes, and the groups by which rules know it.

    `words` are those of the code, `detail` those of the whole order (reason and details too), `urgent` is the priority
    stat or asap. `without_contrast` is the LOINC code of the same study without contrast, where there is one.
    """

    words: str
    detail: str
    loincs: tuple[str, ...]
    groups: frozenset[str]
    urgent: bool
    without_contrast: str = ""


def _several(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(";")))


def _words(text: str) -> re.Pattern[str] | None:
    return re.compile(text, re.IGNORECASE) if text else None


_NAMED: Final = tuple(
    NamedStudy(row["group"], _several(row["loinc"]), _words(row["words"]), _words(row["unless"]))
    for row in table_rows("named_studies.csv")
)
STUDY_CODES: Final[Mapping[str, StudyCode]] = {
    row["loinc"]: StudyCode(
        row["modality"],
        row["region"],
        row["contrast"],
        row["uterus"] == "yes",
        row["screening"] == "yes",
        row["without_contrast"],
        row["name"],
    )
    for row in table_rows("studies.csv")
}
"""The imaging codes by LOINC."""


def _read_retest_intervals() -> Mapping[str, RetestInterval]:
    retest_intervals: dict[str, RetestInterval] = {}
    for row in table_rows("retest_intervals.csv"):
        loincs = row["loinc"].split(";")
        interval = RetestInterval(
            row["key"],
            row["name"],
            frozenset(loincs),
            float(row["days"]),
            float(row["normal_low"]) if row["normal_low"] else None,
            float(row["normal_high"]) if row["normal_high"] else None,
            _several(row["units"]),
            _several(row["panels"]),
            _several(row["methods"]),
            row["apart"],
            row["source"],
        )
        retest_intervals |= dict.fromkeys(loincs, interval)
    return retest_intervals


RETEST_INTERVALS: Final[Mapping[str, RetestInterval]] = _read_retest_intervals()
"""The rows by each LOINC code of the test."""


RESULT_CODES: Final = frozenset(RETEST_INTERVALS).union(*(named.loincs for named in _NAMED))
"""The LOINC codes of laboratory results by which it is known when a test was last done."""


def _read_screening_groups() -> Mapping[str, frozenset[str]]:
    screening_groups = {loinc: frozenset(_screening_imaging(code)) for loinc, code in STUDY_CODES.items()}
    for named in _NAMED:
        for loinc in named.loincs if named.group in SCREENING else ():
            screening_groups[loinc] = screening_groups.get(loinc, frozenset()) | {named.group}
    return {loinc: groups for loinc, groups in screening_groups.items() if groups}


def read_study(resource: Mapping[str, Any]) -> Study:
    """Return the study or test that a ServiceRequest orders; without groups where no rule can be about it."""
    code = resource.get("code")
    codings = [coding for coding in _list(code, "coding") if isinstance(coding, Mapping)]
    coded = tuple(
        str(coding["code"]) for coding in codings if coding.get("code") and _system(coding) in LOINC_OR_UNNAMED
    )
    text = code.get("text") if isinstance(code, Mapping) else None
    words = str(
        text or next((coding["display"] for coding in codings if coding.get("display")), "") or "the ordered test"
    )
    detail = " ".join(dict.fromkeys([words, *_texts(resource)]))
    study_code = next((STUDY_CODES[loinc] for loinc in coded if loinc in STUDY_CODES), None)
    loincs = coded if study_code is not None else _with_named(coded, words)
    groups = frozenset(_imaging_groups(study_code, words, detail)) | {
        named.group for named in _NAMED if named.loincs.intersection(loincs) or named.is_named(words[:LONGEST])
    }
    if "ca125" in groups:
        groups |= {"ovary"}
    rows = {RETEST_INTERVALS[loinc].key for loinc in loincs if loinc in RETEST_INTERVALS}
    if rows:
        groups |= {"lab", *(rows & _TESTED_SOONER)}
    return Study(
        words,
        detail,
        loincs,
        groups,
        str(resource.get("priority", "")) in _URGENT,
        study_code.without_contrast if study_code is not None else "",
    )


def _system(coding: Mapping[str, Any]) -> str | None:
    system = coding.get("system")
    return system if system is None or isinstance(system, str) else "not a text"


def _with_named(coded: tuple[str, ...], words: str) -> tuple[str, ...]:
    """Return the codes, and where none of them is of a test that is known, that of the test which the words name."""
    if any(loinc in RESULT_CODES for loinc in coded):
        return coded
    loinc_in_words = loinc_of_words(words)
    return coded if loinc_in_words is None else (*coded, loinc_in_words)


def _imaging_groups(study_code: StudyCode | None, words: str, detail: str) -> Iterator[str]:
    modality = study_code.modality if study_code is not None else modality_named(words)
    has_contrast = _has_contrast(study_code, words, detail)
    if modality == "MR":
        yield "mr"
    if has_contrast and modality in ("CT", "MR", "XA"):
        yield "gadolinium" if modality == "MR" else "iodine"
    if study_code is None and goes_into_an_artery(words):
        yield "iodine_artery"
    if study_code.uterus if study_code is not None else exposes_uterus(words):
        yield "uterus"
    if (study_code is not None and study_code.region == "lumbar spine" and modality != "DXA") or (
        study_code is None and modality and is_of_lumbar_spine(words)
    ):
        yield "lumbar_spine"
    yield from _screening_imaging(study_code) if study_code is not None else screening_imaging_named(words)


def _screening_imaging(code: StudyCode) -> Iterator[str]:
    if code.modality == "DXA":
        yield "dxa"
    if code.screening and code.modality == "CT" and code.region == "chest":
        yield "lung_ct"
    if code.screening and code.modality == "MG":
        yield "mammography"


SCREENING_GROUPS: Final[Mapping[str, frozenset[str]]] = _read_screening_groups()
"""The groups of SCREENING of each LOINC code that is in one."""


def screening_groups_of(codes: Iterable[str | None], words: str) -> frozenset[str]:
    """Return the groups of SCREENING that something done belongs to: by its codes, else by its words."""
    coded = frozenset(name for code in codes for name in SCREENING_GROUPS.get(code or "", ()))
    if coded:
        return coded
    screening_group = SCREENING_GROUPS.get(loinc_of_words(words) or "", frozenset())
    named_groups = {named.group for named in _NAMED if named.group in SCREENING and named.is_named(words[:LONGEST])}
    return screening_group | named_groups | frozenset(screening_imaging_named(words))


def _has_contrast(study_code: StudyCode | None, words: str, detail: str) -> bool:
    """Whether contrast goes into a vessel; no where neither code nor words say so."""
    if study_code is not None and study_code.contrast:
        return study_code.contrast in ("yes", "artery")
    return says_contrast(words, detail, is_coded=study_code is not None)


def _texts(resource: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words of reasons, details and notes."""
    for name in ("orderDetail", "reasonCode", "note"):
        for concept in _list(resource, name):
            if isinstance(concept, Mapping):
                yield str(concept.get("text") or "")
                yield from (
                    str(coding.get("display") or "")
                    for coding in _list(concept, "coding")
                    if isinstance(coding, Mapping)
                )
    yield str(resource.get("patientInstruction") or "")


def _list(value: Any, name: str) -> list[Any]:
    elements = value.get(name) if isinstance(value, Mapping) else None
    return elements if isinstance(elements, list) else []
