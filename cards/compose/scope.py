"""Says what was looked for about a drafted drug, and what of it is not known: silence about it means no more."""

from collections.abc import Iterable

from cards.rules.engine.finding import Silence
from cards.rules.engine.rule_book import ActivatedRule
from cards.rules.patient.measurements import ESTIMATES
from cards.rules.patient.orders import DraftMedication
from cards.text import plain
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES

_DOSE = frozenset({"dose", "each_dose", "frequency", "duration", "drug_dose", "pair_dose"})
_LISTS = {"Condition": "problem list", "AllergyIntolerance": "allergy list"}
_MOST_VALUES = 6


def scope_of(drafted: DraftMedication, activated: Iterable[ActivatedRule], record: PatientRecord) -> Silence:
    """What the rules of this drug look for: partners, conditions, values, dose; and which lists did not come."""
    rules = [one.rule for one in activated]
    uses = frozenset().union(*(rule.band_uses for rule in rules))
    own = [rule for rule in rules if not rule.trigger.is_for_any]
    interactions = sum(bool(rule.trigger.sides) for rule in own)
    conditions = sum(use.startswith("condition:") for use in uses)
    values = sorted(ANALYTES[use[4:]].words for use in uses if use.startswith("lab:") and use[4:] in ANALYTES)
    parts = ["allergy", "duplicates"]
    if interactions:
        parts.append(f"{interactions} interaction{'s' if interactions > 1 else ''}")
    if conditions:
        parts.append(f"{conditions} condition{'s' if conditions > 1 else ''}")
    if uses.intersection(ESTIMATES):
        parts.append("kidney function")
    parts += values[:_MOST_VALUES]
    if uses & _DOSE:
        parts.append("dose")
    name = plain(drafted.medication.name)
    gaps = [words for kind, words in _LISTS.items() if not record.was_requested(kind)]
    missing = f" Not known: {' and '.join(gaps)}." if gaps else ""
    only = "" if own else " No rule is about this drug itself."
    return Silence(drafted.draft.name, "scope", f"{name}: looked for {', '.join(parts)}.{only}{missing}")
