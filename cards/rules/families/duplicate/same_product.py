"""Compares two orders: whether they are of one product, and how long they run side by side."""

import re

from cards.rules.language.selector import is_injected
from cards.rules.patient.context import RuleContext
from fhir.mapping.medications.identity import MedicationIdentity

_SLOW = re.compile(r"\b(extended|sustained|prolonged|controlled|24 ?hr|12 ?hr|xr|er|sr|xl|la|cr)\b", re.IGNORECASE)

_FLUSH = re.compile(r"flush|lock|dwell|irrigat|priming|dialys", re.IGNORECASE)


def is_slow(medication: MedicationIdentity) -> bool:
    """Whether its form or its words say that it releases slowly."""
    return _SLOW.search(f"{medication.dose_form or ''} {medication.words}") is not None


def is_other_release(one: MedicationIdentity, other: MedicationIdentity) -> bool:
    """Whether one of them releases slowly and the other does not."""
    return is_slow(one) is not is_slow(other)


def is_other_way(one: MedicationIdentity, other: MedicationIdentity) -> bool:
    """Whether they are given in different ways: on the skin and by mouth, by mouth and injected."""
    if (one.systemic is False) is not (other.systemic is False):
        return True
    return is_injected(one) is not is_injected(other)


def is_topical_and_swallowed(one: MedicationIdentity, other: MedicationIdentity) -> bool:
    """Whether one acts where it is put and the other is taken by mouth; a flush of a catheter is neither."""
    local, systemic = (one, other) if one.systemic is False else (other, one)
    flush = _FLUSH.search(f"{local.words} {local.route or ''}") is not None
    return local.systemic is False and systemic.systemic is not False and not is_injected(systemic) and not flush


def is_same_product(one: MedicationIdentity, other: MedicationIdentity) -> bool:
    """Whether they are the same drugs of the same strength given in the same way; a strength not stated fits."""
    if one.rxnorm is not None and one.rxnorm == other.rxnorm:
        return True
    if set(one.rxcuis) != set(other.rxcuis) or is_other_way(one, other) or is_other_release(one, other):
        return False
    mine = dict(zip(one.rxcuis, one.strengths, strict=True))
    theirs = dict(zip(other.rxcuis, other.strengths, strict=True))
    pairs = ((strength, theirs[rxcui]) for rxcui, strength in mine.items())
    return all(mine_ is None or theirs_ is None or mine_ == theirs_ for mine_, theirs_ in pairs)


def overlap_days(context: RuleContext) -> float:
    """Days that the draft and the partner run together; without a known end as long as the other one does."""
    dose = context.drafted.dose
    own = 1.0 if dose.single else dose.duration_days
    left = context.session.days_left(context.partners[0])
    return min(own if own is not None else float("inf"), left)
