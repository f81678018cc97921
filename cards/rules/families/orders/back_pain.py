"""Imaging of low back pain: what it is for, when the pain began, and the red flags.

NASS and AAFP (Choosing Wisely), as in shared/data/orders. The codes of red flags are general knowledge and can only
silence a card.
"""

import re

from cards.rules.conditions.condition import Condition, Truth, flag
from cards.rules.conditions.words.patient import CONDITIONS
from cards.rules.families.orders.study import codes_of, listed_problems, says, study_of, worked_out_once
from cards.rules.patient.context import RuleContext
from fhir.record.datatypes import CodeableConcept, parse_time
from fhir.terminology.assertions import states

_BACK_PAIN_ICD10 = ("M54.5",)
_BACK_PAIN_SNOMED = "279039007"
_BACK_PAIN_WORDS = re.compile(r"low(?:er)? back pain|\blbp\b|lumbago|\bback ?ache", re.IGNORECASE)
_RED_FLAG_ICD10 = (
    "B20", "C", "D84.9", "F11", "F15", "G06.1", "G83.4", "M46.2", "M46.3", "M46.4", "M80", "M81", "R15", "R29.8", "R32",
    "R33", "R50.9", "R63.4", "S", "W0", "W1", "Z79.52", "Z79.6", "Z85", "Z94",
)  # fmt: skip
_RED_FLAG_WORDS = re.compile(
    r"cauda equina|cancer|metasta|malignan|myeloma|fracture|trauma|\bfall\b|\bfell\b|fever|infection|osteomyelitis"
    r"|abscess|discitis|weight loss|immunosuppress|\bhiv\b|osteoporosis|incontinence|retention|saddle|weakness|deficit"
    r"|drug use|steroid|progress",
    re.IGNORECASE,
)
_RED_FLAG_CONDITIONS = ("cancer_pain_or_active_cancer", "substance_use_disorder", "transplant", "falls_or_fracture")
_SIX_WEEKS_DAYS = 42
_LONG_TERM_DAYS = 90.0
_FACTS = frozenset({"conditions"})


def _says_back_pain(concept: CodeableConcept) -> bool:
    coded = any(code.startswith(_BACK_PAIN_ICD10) or code == _BACK_PAIN_SNOMED for code in codes_of(concept))
    return coded or states(_BACK_PAIN_WORDS, concept.words)


def _is_for_back_pain(context: RuleContext) -> Truth:
    by_reason = any(_says_back_pain(reason) for reason in context.drafted.order.reasonCode)
    return by_reason or bool(_BACK_PAIN_WORDS.search(study_of(context).detail))


def days_of_pain(context: RuleContext) -> int | None:
    """Days since the newest onset of low back pain on the problem list; None where no onset is there."""
    return worked_out_once(context, "back pain", _find_days)


def _find_days(context: RuleContext) -> int | None:
    now = context.session.record.as_of_epoch
    onsets = [
        time.whole_days(now)
        for concept, onset in listed_problems(context)
        if onset and _says_back_pain(concept) and (time := parse_time(onset)) is not None
    ]
    return min(onsets, default=None)


def _began_lately(context: RuleContext) -> Truth:
    days = days_of_pain(context)
    return None if days is None else days < _SIX_WEEKS_DAYS


def _knows_onset(context: RuleContext) -> Truth:
    """Without the problem list it is not known whether an onset is charted."""
    if days_of_pain(context) is not None:
        return True
    return False if context.session.knows_conditions else None


def _has_red_flag(context: RuleContext) -> Truth:
    """Return true where one is in the order or on the list; unknown where none is seen and the list did not come."""
    return worked_out_once(context, "red flag", _find_red_flag)


def _find_red_flag(context: RuleContext) -> Truth:
    if says(_RED_FLAG_WORDS, study_of(context).detail):
        return True
    for concept, _ in listed_problems(context):
        coded = any(code.startswith(_RED_FLAG_ICD10) for code in codes_of(concept))
        if coded or says(_RED_FLAG_WORDS, concept.words):
            return True
    if _takes_steroid_for_long(context):
        return True
    if any(context.session.condition(key) is not None for key in _RED_FLAG_CONDITIONS):
        return True
    return False if context.session.knows_conditions else None


def _takes_steroid_for_long(context: RuleContext) -> bool:
    """Whether a systemic corticosteroid was ordered more than 90 days ago and is taken still."""
    now = context.session.record.as_of_epoch
    return any(
        "corticosteroid" in medication.medication.keys
        and medication.medication.systemic
        and (since := parse_time(medication.since)) is not None
        and since.whole_days(now) > _LONG_TERM_DAYS
        for medication in context.session.active
    )


WORDS: tuple[Condition, ...] = (
    flag("for_back_pain", _is_for_back_pain, "the order is for low back pain"),
    flag(
        "back_pain_early",
        _began_lately,
        "low back pain on the problem list began less than six weeks ago",
        frozenset({"onset", "conditions"}),
        needs=CONDITIONS,
    ),
    flag(
        "onset_known",
        _knows_onset,
        "the problem list says when the low back pain began",
        _FACTS,
        needs=CONDITIONS,
        negated="the problem list does not say when the low back pain began",
    ),
    flag(
        "red_flag",
        _has_red_flag,
        "a red flag of back pain is in the order or on the problem list",
        _FACTS,
        needs=CONDITIONS,
        negated="no red flag of back pain is in the order or on the problem list",
    ),
)
