"""The recommendations and the tests by which they are met, read once from `services.json`.

Each recommendation carries its organization, document, grade, year and the day on which it was read. The tests are
known by codes and by words; what of it is the project's own choice stands in `note` and in docs/preventive.md.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cards.card import WebAddress
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.analytes import LOINC_SYSTEMS
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import code_system
from fhir.terminology.medications import addresses_of

_ICD9_PROCEDURES = frozenset({"http://hl7.org/fhir/sid/icd-9-cm", *addresses_of("icd9proc")})
_ICD10_PROCEDURES = frozenset(addresses_of("icd10pcs"))
_PROCEDURE_SYSTEMS = _ICD9_PROCEDURES | _ICD10_PROCEDURES
_NONE: Final[frozenset[str]] = frozenset()

Code: TypeAlias = tuple[str | None, str]
"""The system, None where none is named, and the code."""


class ScreeningTest(Struct, frozen=True, dict=True, kw_only=True):
    """A test, an operation or a talk: the codes and words by which a chart names it.

    `pattern` is looked for in the words; so are all of each row of `together`, one by one, in whichever order they
    stand: one expression of two words with a span between them takes quadratic time.
    """

    words: str
    loinc: frozenset[str] = frozenset()
    snomed: frozenset[str] = frozenset()
    icd9_procedure: tuple[str, ...] = ()
    icd10_pcs: tuple[str, ...] = ()
    pattern: str = ""
    together: tuple[tuple[str, ...], ...] = ()
    unless: str = ""
    source: str = ""

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], ...], ...]:
        rows = ((self.pattern,), *self.together) if self.pattern else self.together
        return tuple(tuple(re.compile(word, re.IGNORECASE) for word in row) for row in rows)

    @cached_property
    def _named_otherwise(self) -> re.Pattern[str] | None:
        return re.compile(self.unless, re.IGNORECASE) if self.unless else None

    def is_meant_by(self, words: str, codes: Iterable[Code]) -> bool:
        """Whether a concept names this test, by one of its codes or by its words."""
        for system, code in codes:
            if self._is_code(system, code):
                return True
        if not words or not any(all(word.search(words) for word in row) for row in self._patterns):
            return False
        return self._named_otherwise is None or self._named_otherwise.search(words) is None

    def _is_code(self, system: str | None, code: str) -> bool:
        if system in LOINC_SYSTEMS or (system is None and "-" in code):
            return code in self.loinc
        if code_system(system) == "snomed":
            return code in self.snomed
        bare = code.replace(".", "")
        if system in _ICD9_PROCEDURES:
            return bool(self.icd9_procedure) and bare.startswith(self.icd9_procedure)
        return system in _ICD10_PROCEDURES and bool(self.icd10_pcs) and bare.startswith(self.icd10_pcs)


class Interval(Struct, frozen=True):
    """A test that meets a recommendation, and for how many years; None: once."""

    test: str
    years: int | None = None


class Order(Struct, frozen=True):
    """The order that a suggestion drafts: its words and its codes, none where no code with a source is available."""

    text: str
    coding: tuple[dict[str, str], ...] = ()


class PreventiveService(Struct, frozen=True, kw_only=True):
    """One recommendation: for whom, what meets it and for how long, who said so and when it was read.

    `excluded` are condition groups (tables/condition_groups.csv) for which it is not meant, `only_with` those of which
    one has to be on record in other words than `unless_words`, and `also_with` others of which one has to be, too. The
    weeks are of a pregnancy, whose tests count from its first day on. `met_by` are classes of medications that meet it,
    `unless_taking` those for whose takers it is not. `needs` are resource types and analytes without which it cannot be
    called due.
    """

    id: str
    name: str
    short: str
    document: str
    uspstf_ids: tuple[str, ...]
    organisation: str = "USPSTF"
    grade: Literal["A", "B", "weak"]
    grade_words: str = ""
    grade_b_to_age: int | None = None
    """The last age at which a recommendation of grade A has grade B."""
    year: int
    published: str
    url: WebAddress
    sex: Literal["male", "female"] | None = None
    from_age: int
    to_age: int | None = None
    only_with: tuple[str, ...] = ()
    also_with: tuple[str, ...] = ()
    unless_words: str = "(?!)"
    from_week: int = 0
    to_week: int = 45
    interval: str
    tests: tuple[Interval, ...]
    excluded: tuple[str, ...] = ()
    met_by: tuple[str, ...] = ()
    unless_taking: tuple[str, ...] = ()
    needs: tuple[str, ...]
    order: Order | None = None
    order_under_30: Order | None = None
    note: str = ""

    def at_age(self, years: int | None) -> "PreventiveService":
        """Return the recommendation with its grade at this age."""
        is_b = years is not None and self.grade_b_to_age is not None and years <= self.grade_b_to_age
        return replace(self, grade="B") if is_b else self

    @property
    def citation(self) -> str:
        """The short form of a card: the organization, its grade and the year."""
        return f"{self.organisation} {self.grade}, {self.year}"


class PreventiveKnowledge(Struct, kw_only=True):
    """All recommendations in the order of a card, and every test."""

    title: str
    as_of: str
    reviewed: str
    status: str
    organisation: str
    source: str
    test_source: str
    services: tuple[PreventiveService, ...]
    tests: Mapping[str, ScreeningTest]


PREVENTIVE: Final[PreventiveKnowledge] = msgspec.json.decode(
    (files("cards.preventive") / "services.json").read_bytes(), type=PreventiveKnowledge
)
"""The knowledge of `services.json`."""

_FIRST_WORDS: Final = [
    word
    for test in PREVENTIVE.tests.values()
    for word in (*filter(None, [test.pattern]), *(row[0] for row in test.together))
]
_ANY_NAMED: Final = re.compile("|".join(f"(?:{word})" for word in _FIRST_WORDS), re.IGNORECASE)
_CODES: Final = frozenset().union(*(test.loinc | test.snomed for test in PREVENTIVE.tests.values()))


def tests_named(concept: CodeableConcept) -> frozenset[str]:
    """The names of the tests that a concept means, by its codes or by its words; most concepts mean none."""
    codes = tuple([(coding.system, coding.code) for coding in concept.coding])
    return _tests_named(" ".join(concept.texts), codes)


@remembered("screening tests of a concept", entries=2048, longest=400)
def _tests_named(words: str, codes: tuple[Code, ...]) -> frozenset[str]:
    is_coded = any(code in _CODES or system in _PROCEDURE_SYSTEMS for system, code in codes)
    if not is_coded and _ANY_NAMED.search(words) is None:
        return _NONE
    return frozenset(name for name, test in PREVENTIVE.tests.items() if test.is_meant_by(words, codes))


def order_resource(order: Order, patient_id: str, day: str) -> dict[str, Any]:
    """Return a drafted ServiceRequest (FHIR R4) for the order."""
    code: dict[str, Any] = {"text": order.text}
    if order.coding:
        code = {"coding": [dict(coding) for coding in order.coding], **code}
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "code": code,
        "subject": {"reference": f"Patient/{patient_id}"},
        "authoredOn": day,
    }
