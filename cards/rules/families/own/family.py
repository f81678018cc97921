"""The words of a hospital's own knowledge base: pairs, duplicates, diseases and allergy classes of its vendor.

The four rules are made from the tables of the site's folder (`cards/rules/language/knowledge_base.py`); without such a
folder there is no rule of this family.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace

from cards.extension import Fact
from cards.rules.conditions.condition import MEDICATION_LISTS, Condition, DataNeeds, Truth, needs, one_of, with_value
from cards.rules.engine.family import Family, Placeholder
from cards.rules.language.knowledge_base import (
    LEVELS,
    ClassMembers,
    DiseaseRow,
    KnowledgeBase,
    Row,
    knowledge_base,
)
from cards.rules.patient.context import RuleContext, medication_fact
from cards.rules.patient.orders import CurrentMedication
from cards.text import first_few, plain
from fhir.mapping.conditions import ConditionHit, condition_hit
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.record.datatypes import Coding
from fhir.record.resources import Condition as Problem
from fhir.terminology.conditions import code_system
from fhir.terminology.medications import INGREDIENTS

_SHOWN: Final = 60
_NO_KEYS: Final[frozenset[str]] = frozenset()


_Judged: TypeAlias = tuple[Row, str, tuple[Fact, ...]] | None
"""The gravest row about a draft, what it names beside the drug, and the facts of the chart; None without one."""


def _gravest(judgements: Sequence[tuple[Row, str, tuple[Fact, ...]]]) -> _Judged:
    return min(judgements, key=lambda judged: LEVELS.index(judged[0].level), default=None)


def _pair(context: RuleContext, base: KnowledgeBase) -> _Judged:
    if not context.partners:
        return None
    row = base.pair(context.medication, context.partners[0].medication)
    return (row, ", ".join(context.partner_names()), ()) if row is not None else None


def _duplicate(context: RuleContext, base: KnowledgeBase) -> _Judged:
    judgements = []
    for members in _classes_of(base.duplicates, context.medication):
        others = _other_members(context, members)
        if len(others) >= members.most:
            names = first_few([other.medication.name for other in others], 3)
            facts = tuple(medication_fact(other, other.medication.name) for other in others[:3])
            row = members.row if members.row.words else replace(members.row, words="usually not together")
            judgements.append((row, f"{names} ({plain(members.name, 40)})", facts))
    return _gravest(judgements)


def _classes_of(classes: tuple[ClassMembers, ...], medication: MedicationIdentity) -> list[ClassMembers]:
    return [members for members in classes if not members.keys.isdisjoint(medication.keys)]


def _other_members(context: RuleContext, members: ClassMembers) -> list[CurrentMedication]:
    """Return the other drugs of the class that are taken or drafted, each drug once."""
    others: dict[tuple[str, ...], CurrentMedication] = {}
    for other in context.session.medications_beside(context.drafted, sorted(members.keys)):
        if other.medication.rxcuis != context.medication.rxcuis and other.medication.systemic is not False:
            others.setdefault(other.medication.rxcuis, other)
    return list(others.values())


def _disease(context: RuleContext, base: KnowledgeBase) -> _Judged:
    rows = dict.fromkeys(row for key in context.medication.keys for row in base.diseases.get(key, ()))
    judgements = []
    for row in rows:
        fact = _problem(context, row)
        if fact is not None:
            judgements.append((row.row, plain(fact.text, 50), (fact,)))
    return _gravest(judgements)


def _problem(context: RuleContext, row: DiseaseRow) -> Fact | None:
    """Return the entry of the chart that is the disease of the row, and is not over."""
    for group in row.groups:
        hit = context.session.condition(group)
        if hit is not None:
            return _fact_of(hit)
    record = context.session.record
    for problem in record.facts(Problem):
        coding = (
            next((coding for coding in problem.code.coding if _is_meant(coding, row)), None) if problem.code else None
        )
        if coding is None:
            continue
        hit = condition_hit("", problem, coding.code, record)
        if hit.status != "past":
            return _fact_of(hit)
    return None


def _fact_of(hit: ConditionHit) -> Fact:
    when = hit.time.text if hit.time is not None else None
    return Fact("problem", plain(hit.words, _SHOWN), effective=when, source=hit.source)


def _is_meant(coding: Coding, row: DiseaseRow) -> bool:
    system = code_system(coding.system)
    if system == "snomed":
        return coding.code in row.snomed
    return system == "icd10" and bool(row.icd10) and coding.code.replace(".", "").startswith(row.icd10)


def _allergy(context: RuleContext, base: KnowledgeBase) -> _Judged:
    judgements = []
    by_ingredient = context.session.allergies_by_ingredient
    for members in _classes_of(base.allergies, context.medication):
        for rxcui in sorted(members.keys & by_ingredient.keys()):
            if rxcui not in context.medication.rxcuis:
                words = f"allergy to {INGREDIENTS[rxcui].name} ({plain(members.name, 40)})"
                judgements.append((members.row, words, (_allergy_fact(context, rxcui),)))
                break
    return _gravest(judgements)


def _allergy_fact(context: RuleContext, rxcui: str) -> Fact:
    allergy = context.session.allergies_by_ingredient[rxcui][0]
    return Fact("allergy", plain(allergy.words, _SHOWN), INGREDIENTS[rxcui].name, source=allergy.source)


_JUDGES: Final = {
    "own_pair": _pair, "own_duplicate": _duplicate, "own_disease": _disease, "own_allergy": _allergy,
}  # fmt: skip


def _judged(word: str, context: RuleContext) -> _Judged:
    base = knowledge_base()
    if base is None:
        return None
    partner = context.partners[0].source if context.partners else ""
    key = (word, context.drafted.draft.name, context.drafted.medication.rxcuis, partner)
    return context.session.derive(key, lambda: _JUDGES[word](context, base))


def _condition(word: str, meaning: str, uses: str, data: DataNeeds) -> Condition:
    def test(level: str, context: RuleContext) -> Truth:
        judged = _judged(word, context)
        return judged is not None and judged[0].level == level

    def facts(_level: str, context: RuleContext) -> list[Fact]:
        judged = _judged(word, context)
        return list(judged[2]) if judged is not None else []

    wording = "a row of the hospital's knowledge base ({})".format
    return with_value(word, one_of(*LEVELS), test, wording, f"{meaning}, of this level", frozenset({uses}), facts, data)


def _text(word: str, part: Callable[[RuleContext, Row, str], str]) -> Callable[[RuleContext], str | None]:
    def fill(context: RuleContext) -> str | None:
        judged = _judged(word, context)
        return part(context, judged[0], judged[1]) if judged is not None else None

    return fill


def _summary(context: RuleContext, row: Row, beside: str) -> str:
    words = f": {row.words}" if row.words else ""
    return f"{plain(f'{context.ingredient.name} with {beside}{words}', 128).rstrip('.')}."


def _detail(_context: RuleContext, row: Row, _beside: str) -> str:
    base = knowledge_base()
    source = f"{base.vendor}, {base.edition}" if base is not None else ""
    return f"{plain(row.advice, 300).rstrip('.')}. ({source})" if row.advice else f"({source})"


def _beside(medication: MedicationIdentity) -> frozenset[str]:
    base = knowledge_base()
    return base.beside(medication) if base is not None else _NO_KEYS


FAMILY = Family(
    "site",
    placeholders={
        **{f"{word}_summary": Placeholder(_text(word, _summary), "x" * 129) for word in _JUDGES},
        **{f"{word}_detail": Placeholder(_text(word, _detail), "x" * 300) for word in _JUDGES},
    },
    conditions=(
        _condition(
            "own_pair", "a row of the hospital's pairs.csv names the draft and the partner", "active", MEDICATION_LISTS
        ),
        _condition(
            "own_duplicate",
            "beside the draft is more of a class of duplicates.csv than is usual",
            "active",
            MEDICATION_LISTS,
        ),
        _condition(
            "own_disease",
            "a row of the hospital's diseases.csv names the draft and a problem",
            "conditions",
            needs("Condition"),
        ),
        _condition(
            "own_allergy",
            "a class of allergy_classes.csv has the draft and a drug of the allergy list",
            "allergies",
            needs("AllergyIntolerance"),
        ),
    ),
    partners={"site-knowledge-pairs": _beside},
)
