"""What all rules about orders of imaging and tests ask: which study it is, its urgency, and what is worked out once.

Several conditions and texts of one finding are based on the same search in the chart; it is made once for each draft.
"""

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from cards.rules.conditions.condition import TEXT, Condition, Truth, flag, needs, with_value
from cards.rules.language.rule import LabOrder, OrderChange
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import DraftStudy
from cards.text import plain
from fhir.mapping.conditions import condition_status
from fhir.mapping.stays import is_in_intensive_care
from fhir.mapping.studies import STUDY_CODES, Study, read_study
from fhir.record.datatypes import CodeableConcept
from fhir.record.resources import Condition as Problem
from fhir.record.resources import Encounter
from fhir.terminology.assertions import AssertedText

_T = TypeVar("_T")
_EMERGENCIES = re.compile(
    r"\bstroke\b|dissect|embol|\bstat\b|\bemergen|\btrauma|\bpe\b|\bctpa\b|pulmonary (?:angio|art)|ruptur"
    r"|\bshock\b",
    re.IGNORECASE,
)


_BESIDE = 160
"""So many characters before and behind a word are read for what is said of it."""


def says(pattern: re.Pattern[str], words: str) -> bool:
    """Whether words say something of the patient that `pattern` finds: not where they deny it, nor of the family.

    A comma ends what a denial reaches, since what follows in a list of complaints may be there: "no fever, weakness".
    """
    for match in pattern.finditer(words):
        comma = max(words.rfind(sign, 0, match.start()) for sign in ",;")
        first = max(comma + 1, match.start() - _BESIDE)
        text = AssertedText(words[first : match.end() + _BESIDE])
        assertion = text.at(match.start() - first, match.end() - first)
        if assertion.polarity in ("affirmed", "possible") and assertion.person == "patient":
            return True
    return False


def study_of(context: RuleContext) -> Study:
    """Return the study or test that is ordered."""
    drafted = context.drafted
    return drafted.study if isinstance(drafted, DraftStudy) else read_study({})


def worked_out_once(context: RuleContext, name: str, work: Callable[[RuleContext], _T]) -> _T:
    """Return what `work` finds about this draft, once for all conditions and texts of the session that ask for it."""
    return context.session.derive(("orders", name, context.drafted), lambda: work(context))


def listed_problems(context: RuleContext) -> Iterator[tuple[CodeableConcept, str | None]]:
    """Each problem of the list that is not over, with the time of its onset as it is charted."""
    record = context.session.record
    for problem in record.facts(Problem):
        if problem.code is not None and condition_status(problem, record.as_of_epoch) != "past":
            yield problem.code, problem.onsetDateTime


def codes_of(concept: CodeableConcept) -> list[str]:
    """Return the codes of a concept, whatever their system."""
    return [coding.code for coding in concept.coding if coding.code]


def study_words(context: RuleContext) -> str:
    """Return the words of the order's code, for a sentence."""
    return plain(study_of(context).words, 50)


def without_contrast(context: RuleContext) -> OrderChange | None:
    """Return the same study without contrast, where the table has one."""
    code = study_of(context).without_contrast
    study_code = STUDY_CODES.get(code)
    return OrderChange(test=LabOrder(code, study_code.name)) if study_code is not None else None


def _is_urgent(context: RuleContext) -> Truth:
    """Stat or asap, in an emergency department, or for what cannot wait."""
    study = study_of(context)
    visits = context.session.record.facts(Encounter)
    in_emergency = any(visit.class_code == "EMER" and visit.status == "in-progress" for visit in visits)
    return study.urgent or in_emergency or says(_EMERGENCIES, study.detail)


WORDS: tuple[Condition, ...] = (
    with_value(
        "study_group",
        TEXT,
        lambda wanted, context: wanted in study_of(context).groups,
        "a study of the group {}".format,
        "what is ordered is of this group of studies and tests",
    ),
    flag(
        "urgent", _is_urgent, "stat or asap, an emergency visit, or an emergency in its words", needs=needs("Encounter")
    ),
    flag(
        "intensive_care",
        lambda context: is_in_intensive_care(context.session.record),
        "the patient is in intensive care now",
        needs=needs("Encounter"),
    ),
)
