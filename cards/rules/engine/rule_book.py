"""Evaluates one drafted medication: which of its rules has a finding, and why the others are silent.

A draft is evaluated only by the rules of its ingredients and classes, a rule about a pair only where the other drug is
taken or drafted; it is then evaluated before each partner, and the worst finding is shown. What was looked for about a
drafted drug, and what of it is not known, is said too: silence about it means no more.
"""

from collections.abc import Iterable, Sequence
from functools import cache, cached_property, reduce
from operator import or_
from typing import NamedTuple

from cards.rules.conditions.condition import DataNeeds, needs
from cards.rules.engine.compile import CompiledRule, RuleIndex, compile_family
from cards.rules.engine.family import rule_families
from cards.rules.engine.finding import Evaluation, Finding, Match, NoMatch, Silence, evaluate_partners, evaluate_rule
from cards.rules.engine.render import MISSING, WITHIN_LIMITS, matched_band, render_finding, render_silence
from cards.rules.language.trigger import Activation
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import ESTIMATES
from cards.rules.patient.orders import CurrentMedication, DraftMedication
from cards.rules.patient.session import PatientSession
from cards.text import plain
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.medications import Ingredient

__all__ = ["MISSING", "WITHIN_LIMITS", "ActivatedRule", "DraftEvaluation", "RuleBook", "rule_book"]

# Every substitute is checked against allergies and the current medications, whatever its rule asks.
_ALWAYS = needs("AllergyIntolerance", "MedicationRequest", "MedicationStatement")
# A client can send any mixture and any words of form and route: so many medications are remembered, each of at most so
# many characters (docs/caches.md).
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 300
# No patient takes as many partners of one drug; a session of 200 drafts of one drug must not cost 40,000 decisions.
_MOST_PARTNERS = 24


class DraftEvaluation:
    """The evaluation of one draft by all its rules; the texts are written when they are asked for."""

    def __init__(self, drafted: DraftMedication, evaluations: Sequence[Evaluation], alone: int) -> None:
        self._drafted = drafted
        self._decided = evaluations
        self._alone = alone

    @cached_property
    def found(self) -> frozenset[tuple[str, str]]:
        """Rule and band of every finding."""
        return frozenset((one.rule.id, matched_band(one)) for one in self._decided if isinstance(one, Match))

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, with their texts."""
        return tuple(render_finding(one) for one in self._decided if isinstance(one, Match))

    @cached_property
    def silences(self) -> tuple[Silence, ...]:
        """Why the other rules have no finding; a rule about every drug that found nothing is left out."""
        silences = []
        for one in self._decided:
            if isinstance(one, Silence):
                silences.append(one)
            elif isinstance(one, NoMatch) and (one.unknown or not one.rule.trigger.is_for_any):
                silences.append(render_silence(one))
        if self._alone:
            looked = f"looked for {self._alone} interaction{'s' if self._alone > 1 else ''}"
            text = f"{_capital(self._drafted)}: {looked}: none of the partner drugs is taken."
            silences.append(Silence(self._drafted.draft.name, "no-partner", text))
        return tuple(silences)


class ActivatedRule(NamedTuple):
    """A rule that a draft activates, and how."""

    rule: CompiledRule
    activation: Activation


class RuleBook:
    """All rules, indexed by ingredient and class."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.rules = tuple(rules)
        self.needs: DataNeeds = reduce(or_, (rule.needs for rule in self.rules), _ALWAYS)
        self._index = RuleIndex(self.rules)
        self._activated: dict[tuple[object, ...], tuple[ActivatedRule, ...]] = {}

    def rules_for(self, medication: MedicationIdentity) -> tuple[ActivatedRule, ...]:
        """The rules that a medication activates."""
        key = (medication.rxcuis, medication.systemic, medication.dose_form, medication.route)
        known = self._activated.get(key)
        if known is None:
            of_drug = ((rule, rule.trigger.activation(medication)) for rule in self._index.of(medication))
            known = tuple(ActivatedRule(rule, activation) for rule, activation in of_drug if activation is not None)
            if len(f"{medication.rxcuis}{medication.dose_form}{medication.route}") <= _LONGEST_REMEMBERED:
                if len(self._activated) >= _MOST_REMEMBERED:
                    self._activated.clear()
                self._activated[key] = known
        return known

    def reads_for(self, medication: MedicationIdentity) -> frozenset[str]:
        """What the rules of this medication read: analytes and resource types. The rest cannot change its card."""
        rules = [activated.rule for activated in self.rules_for(medication)]
        read = reduce(or_, (rule.needs for rule in rules), _ALWAYS)
        offers = [one for rule in rules for band in rule.bands for one in band.suggestions]
        offers += [one for rule in rules for missing in rule.missing for one in missing.suggestions]
        has_tests = any(one.orders for one in offers)
        asked = {"Patient", "ServiceRequest"} if has_tests else {"Patient"}  # a test that is ordered is not offered
        return read.analytes | read.resources | asked

    def evaluate(self, session: PatientSession, drafted: DraftMedication) -> DraftEvaluation:
        """Evaluates every rule of this draft."""
        # The rules of one ingredient share a context: what one has worked out the next one has.
        alone: dict[Ingredient, RuleContext] = {}
        answers = []
        for activated in self.rules_for(drafted.medication):
            ingredient = activated.activation.ingredient
            context = alone.get(ingredient)
            if context is None:
                context = alone[ingredient] = RuleContext(session, drafted, ingredient)
            answers.append(_evaluate(activated, context))
        evaluations = [answer for answer in answers if answer is not None]
        return DraftEvaluation(drafted, evaluations, len(answers) - len(evaluations))


def _capital(drafted: DraftMedication) -> str:
    name = plain(drafted.medication.name)
    return f"{name[:1].upper()}{name[1:]}"


@cache
def rule_book() -> RuleBook:
    """The rules of every family, read and compiled once."""
    return RuleBook(rule for family in rule_families() for rule in compile_family(family))


def _evaluate(activated: ActivatedRule, alone: RuleContext) -> Evaluation | None:
    """The evaluation of one rule; None where it is about a pair and no partner is there."""
    rule, activation = activated
    if activation.is_local:
        return Silence(
            rule.id, "local-form", f"{rule.declared.title}: not checked for a form that acts only where it is put."
        )
    partners = _partners(activation, alone.session, alone.drafted)
    if partners:
        return evaluate_partners(rule, alone, partners)
    return evaluate_rule(rule, alone) if activation.alone else None


def _partners(activation: Activation, session: PatientSession, drafted: DraftMedication) -> list[CurrentMedication]:
    if activation.same_ingredient:
        return session.medications_beside(drafted, drafted.medication.rxcuis, _MOST_PARTNERS)
    if activation.same_class:
        return session.medications_beside(drafted, sorted(activation.same_class), _MOST_PARTNERS)
    return session.partners_of(drafted, activation.partners)[:_MOST_PARTNERS] if activation.partners else []


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
