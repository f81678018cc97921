"""Words about the drafted order itself: at which step it is evaluated, and how it is to be taken."""

from cards.rules.conditions.condition import BOOLEAN, Condition, Predicate, Spec, no_facts, only

SIGNING = "signing"
"""What a condition uses that differs between selecting and signing an order."""


def _signing(spec: Spec) -> Predicate:
    wanted = only(spec, "signing")["signing"]
    return Predicate(lambda context: context.is_signing is wanted, no_facts, frozenset({SIGNING}))


_SIGNING = Condition(
    "signing",
    "the order is being signed (or reconciled at discharge): nothing more will be entered",
    _signing,
    BOOLEAN,
    lambda spec: "at signing" if spec["signing"] else "before signing",
)


def _single_dose(spec: Spec) -> Predicate:
    wanted = only(spec, "single_dose")["single_dose"]
    return Predicate(lambda context: context.is_single_dose is wanted, no_facts, frozenset({"dose"}))


_SINGLE_DOSE = Condition(
    "single_dose",
    "the draft is one dose in all",
    _single_dose,
    BOOLEAN,
    lambda spec: "a single dose" if spec["single_dose"] else "more than one dose",
)


def _as_needed(spec: Spec) -> Predicate:
    wanted = only(spec, "as_needed")["as_needed"]
    return Predicate(lambda context: context.drafted.dose.as_needed is wanted, no_facts, frozenset({"dose"}))


_AS_NEEDED = Condition(
    "as_needed",
    "the draft is to be taken as needed",
    _as_needed,
    BOOLEAN,
    lambda spec: "as needed" if spec["as_needed"] else "scheduled",
)


WORDS = (_SIGNING, _SINGLE_DOSE, _AS_NEEDED)
