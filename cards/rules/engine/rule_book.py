"""Evaluates one drafted medication: which of its rules has a finding, and why the others are silent.

A draft is evaluated only by the rules of its ingredients and classes, a rule about a pair only where the other drug is
taken or drafted; it is then evaluated before each partner, and the worst finding is shown.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property, reduce
from itertools import islice
from operator import or_
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from cards.rules.conditions.condition import NO_NEEDS, DataNeeds, needs
from cards.rules.engine.compile import CompiledBand, CompiledRule, LateRule, RuleIndex
from cards.rules.engine.family import family_named
from cards.rules.engine.finding import (
    Evaluation,
    Match,
    NoMatch,
    RuleFinding,
    decide,
    evaluate_partners,
    unless_answered,
)
from cards.rules.engine.prepared import prepared_families
from cards.rules.engine.render import matched_band, render_finding, render_silence
from cards.rules.engine.scope import Scope
from cards.rules.language.knowledge_base import DISEASES, DUPLICATES, PAIRS, knowledge_base
from cards.rules.language.site import replaced_rules
from cards.rules.language.trigger import Activation, is_test
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import ESTIMATES
from cards.rules.patient.orders import CurrentMedication, DraftMedication
from cards.rules.patient.session import PatientSession
from cards.text import capitalized, plain
from fhir.mapping.conditions import unread_problems
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.terminology.package_tables import shared

IsMeant: TypeAlias = Callable[[CompiledRule, CompiledBand], bool]
"""Whether what a band of a rule finds is told at all."""
# Every substitute is checked against allergies and the current medications, whatever its rule asks.
_ALWAYS = needs(
    "AllergyIntolerance", "MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration"
)
# A client can send any mixture, words, form and route: so many medications are remembered, each of at most so
# many characters (docs/caches.md).
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 300
# No patient takes as many partners of one drug; a session of 200 drafts of one drug must not cost 40,000 decisions.
_MOST_PARTNERS = 24


class DraftEvaluation:
    """The evaluation of one draft by all its rules; the texts are written when they are asked for."""

    def __init__(
        self, session: PatientSession, drafted: DraftMedication, evaluations: Sequence[Evaluation], rules: int
    ) -> None:
        """`evaluations` are without those of pairs of which no partner is there; `rules` counts all rules."""
        self._drafted = drafted
        self._session = session
        self._decided = evaluations
        self._matches = [evaluation for evaluation in evaluations if isinstance(evaluation, Match)]
        self._alone = rules - len(self._decided)

    @cached_property
    def finding_keys(self) -> frozenset[tuple[str, str]]:
        """Rule and band of every finding."""
        return frozenset((match.rule.id, matched_band(match)) for match in self._matches)

    def tolerated(self, rule: str, *, other_drug: bool = False, new_dose: bool = False) -> frozenset[tuple[str, str]]:
        """Rule and band of what may still be found after a suggestion of this rule is accepted.

        What the rule itself found must be gone. With another drug only information may be left, with a new dose no
        warning about a dose: what we write must be right by every rule.
        """
        return frozenset(
            (match.rule.id, matched_band(match))
            for match in self._matches
            if match.rule.id != rule
            and (
                match.says.declared.indicator == "info"
                or not (other_drug or (new_dose and not match.says.when.uses.isdisjoint(_DOSE)))
            )
        )

    @cached_property
    def findings(self) -> tuple[RuleFinding, ...]:
        """The findings; their words wait until they are shown."""
        return tuple([render_finding(match) for match in self._matches])

    def findings_of(self, is_meant: "IsMeant") -> list[RuleFinding]:
        """Return the findings of the bands that are meant."""
        return [
            render_finding(match)
            for match in self._matches
            if isinstance(band := match.says, CompiledBand) and is_meant(match.rule, band)
        ]

    @cached_property
    def silences(self) -> tuple[WhyNot, ...]:
        """Why the other rules have no finding; a rule about every drug that found nothing is left out."""
        silences = []
        unread = len(unread_problems(self._session.record))
        told = any(not match.says.when.uses.isdisjoint(ESTIMATES) for match in self._matches)
        for evaluation in self._decided:
            if isinstance(evaluation, WhyNot):
                silences.append(evaluation)
            elif isinstance(evaluation, NoMatch) and (evaluation.unknown or not evaluation.rule.trigger.is_for_any):
                silences.append(render_silence(evaluation, unread, kidney_told=told))
        if self._alone:
            looked = f"looked for {self._alone} interaction{'s' if self._alone > 1 else ''}"
            where = "is taken" if self._session.knows_medications else "is drafted; the medication list is not known"
            text = f"{capitalized(plain(self._drafted.medication.name))}: {looked}: none of the partner drugs {where}."
            silences.append(WhyNot(self._drafted.draft.name, "no-partner", text))
        return tuple(silences)


class ActivatedRule(NamedTuple):
    """A rule that a draft activates, how, and beside which drugs it is evaluated."""

    rule: CompiledRule
    activation: Activation
    bands: tuple[CompiledBand, ...]
    """Those of its bands that can be true of the drug."""
    partner_keys: frozenset[str]
    """The ingredients and classes of the partners, where they are those of a pair."""
    only_beside: frozenset[str] | None
    """The same keys where it says nothing of the draft unless one of them is taken or drafted."""
    is_alone: bool
    """Whether it is judged by the draft alone, and not beside what else is taken or drafted."""
    has_washout: bool
    """Whether a partner that ended lately counts."""
    local: WhyNot | None
    """Why the rule is not asked about a form that acts only where it is put."""
    row_keys: frozenset[str] | None
    """The ingredients and classes that a knowledge table names beside the drug; None where the rule has none."""

    @classmethod
    def by(cls, medication: MedicationIdentity, rule: CompiledRule, activation: Activation) -> "ActivatedRule":
        """Return the rule as this medication activates it."""
        keyed = [selector.keyed for selector in activation.partners]
        # one set for all medications: with one for each, 4,096 of them kept 250 MB
        partner_keys = keyed[0] if len(keyed) == 1 else shared(frozenset().union(*keyed))
        has_washout = any(selector.washout_days for selector in activation.partners)
        text = f"{rule.declared.title}: not checked, because this form acts only where it is applied."
        local = WhyNot(rule.id, "local-form", text) if activation.is_local else None
        partners_of = rule.family.partners.get(rule.id)
        row_keys = partners_of(medication) if partners_of is not None else None
        meets_others = activation.partners or activation.same_ingredient or activation.same_class
        is_alone = activation.alone and not meets_others and local is None
        is_of_pair = activation.partners and not (activation.alone or has_washout or local or partners_of)
        only_beside = partner_keys if is_of_pair else None
        keys = frozenset(medication.keys)
        bands = [band for band in rule.bands if not any(map(keys.isdisjoint, band.when.of_draft))]
        return cls(rule, activation, tuple(bands), partner_keys, only_beside, is_alone, has_washout, local, row_keys)


class RuleBook:
    """All rules, indexed by ingredient and class."""

    def __init__(self, rules: Iterable[LateRule]) -> None:
        self._rules = tuple(rules)
        self.needs: DataNeeds = reduce(or_, (rule.outline.needs for rule in self._rules), _ALWAYS)
        self._index = RuleIndex(self._rules)
        self._remembered: dict[tuple[object, ...], _RulesOfDrug] = {}

    @property
    def rules(self) -> tuple[CompiledRule, ...]:
        """Every rule, compiled; an order compiles only those that it activates."""
        return tuple(rule.compiled for rule in self._rules)

    def of_families(self, is_meant: Callable[[str], bool]) -> "RuleBook":
        """Return the rules of the families whose names are meant."""
        return RuleBook(rule for rule in self._rules if is_meant(rule.family))

    @property
    def needs_of_tests(self) -> DataNeeds:
        """What the rules about imaging and tests read, with the tests that are ordered already."""
        about_tests = (rule.outline for rule in self._rules if rule.outline.is_for_tests)
        return reduce(or_, (outline.needs for outline in about_tests), needs("ServiceRequest"))

    def rules_for(self, medication: MedicationIdentity, *, stops: bool = False) -> tuple[ActivatedRule, ...]:
        """Return the rules that a medication activates when it is ordered or, with `stops`, ended."""
        return self._rules_of(medication, stops=stops).activated

    def scope_of(self, drafted: DraftMedication, record: PatientRecord, *, signing: bool) -> WhyNot:
        """Return what the rules of this drug looked for, and what of it is not known."""
        return self._rules_of(drafted.medication, stops=drafted.stops).scope(signing=signing).silence(drafted, record)

    def _rules_of(self, medication: MedicationIdentity, *, stops: bool) -> "_RulesOfDrug":
        # Without form and route the words decide: "insulin glargine KwikPen" is injected.
        texts = (medication.rxcuis, medication.dose_form, medication.route, medication.words)
        key = (*texts, medication.systemic, stops)
        rules_of_drug = self._remembered.get(key)
        if rules_of_drug is None:
            meant = (
                rule
                for rule in self._index.of(medication)
                if rule.trigger.stops is stops and not _is_replaced(rule, medication)
            )
            of_drug = ((rule, rule.trigger.activation(medication)) for rule in meant)
            activated = tuple(
                ActivatedRule.by(medication, rule, activation) for rule, activation in of_drug if activation is not None
            )
            rules_of_drug = _RulesOfDrug(medication, activated, {})
            if len(f"{texts}") <= _LONGEST_REMEMBERED:
                if len(self._remembered) >= _MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = rules_of_drug
        return rules_of_drug

    def reads_for(self, medication: MedicationIdentity) -> frozenset[str]:
        """Return what its rules read: analytes and resource types. The rest cannot change its card."""
        return self._rules_of(medication, stops=False).reads

    def evaluate(self, session: PatientSession, drafted: DraftMedication) -> DraftEvaluation:
        """Evaluate every rule of this draft."""
        of_drug = self._rules_of(drafted.medication, stops=drafted.stops)
        contexts: dict[int, RuleContext] = {}
        evaluations = list[Evaluation]()
        for rule in of_drug.activated:
            if rule.only_beside is not None and rule.only_beside.isdisjoint(session.keys):
                continue
            ingredient = rule.activation.ingredient
            context = contexts.get(id(ingredient))
            if context is None:  # most drugs have one ingredient, which activates all their rules
                context = contexts[id(ingredient)] = RuleContext(session, drafted, ingredient)
            if not rule.is_alone:
                if (beside := _beside_others(rule, context)) is not None:
                    evaluations.append(beside)
                continue
            evaluation = decide(rule.rule, rule.bands, context)
            evaluations.append(unless_answered(evaluation) if type(evaluation) is Match else evaluation)
        return DraftEvaluation(session, drafted, evaluations, len(of_drug.activated))


@cache
def whole_book() -> RuleBook:
    """Return the rules of every family but those that the hospital has replaced."""
    replaced = replaced_rules()
    families = prepared_families()
    rules = (rule for name, family in families.items() for rule in family.late_rules(family_named(name)))
    return RuleBook(rule for rule in rules if rule.outline.id not in replaced)


@cache
def rule_book() -> RuleBook:
    """Return the rules that are asked about an order: all but those for a review of what is taken."""
    families = prepared_families()
    return whole_book().of_families(lambda name: not families[name].table.for_review)


def _beside_others(activated: ActivatedRule, context: RuleContext) -> Evaluation | None:
    """Return the evaluation of one rule; None where it is about a pair and no partner is there.

    Of partners whom no row of its table names beside the drug it finds nothing.
    """
    rule, activation, session, drafted = activated.rule, activated.activation, context.session, context.drafted
    if activated.local is not None:
        return activated.local
    partners = _partners(activated, session, drafted)
    if not partners and not activation.alone:
        has_other = activated.row_keys is not None and any(session.partners_of(drafted, activation.partners))
        return NoMatch(rule, context) if has_other else None
    if not partners:
        evaluation = decide(rule, activated.bands, context)
        return unless_answered(evaluation) if type(evaluation) is Match else evaluation
    evaluation = evaluate_partners(rule, activated.bands, context, partners)
    if not isinstance(evaluation, Match) or evaluation.says.declared.indicator != "info":
        return evaluation
    # Information about drugs of which nobody knows if they are taken is left out.
    return None if all(partner.is_uncertain for partner in evaluation.context.partners) else evaluation


_OWN_TABLE_OF: Final = {"disease": DISEASES, "dup-class": DUPLICATES}
"""The table of a hospital's knowledge base that can stand in place of the rules of a family, or of one rule."""
_OF_PAIRS: Final = frozenset({"ddi", "pairs"})


def _is_replaced(rule: CompiledRule, medication: MedicationIdentity) -> bool:
    """Whether a hospital's own knowledge base speaks of this drug in place of the rule."""
    base, table = knowledge_base(), _OWN_TABLE_OF.get(rule.id) or _OWN_TABLE_OF.get(rule.family.name)
    return base is not None and table is not None and base.takes_over(table, medication)


def _without_replaced(
    rule: CompiledRule, drafted: DraftMedication, partners: list[CurrentMedication]
) -> list[CurrentMedication]:
    """Return the partners of whom a hospital's own pairs do not speak in place of the rule."""
    base = knowledge_base()
    if base is None or rule.family.name not in _OF_PAIRS or not base.takes_over(PAIRS, drafted.medication):
        return partners
    return [partner for partner in partners if not base.takes_over(PAIRS, partner.medication)]


def _partners(activated: ActivatedRule, session: PatientSession, drafted: DraftMedication) -> list[CurrentMedication]:
    activation = activated.activation
    if activation.partners:
        keys = activated.partner_keys if activated.row_keys is None else activated.row_keys
        if keys.isdisjoint(session.keys) and not (activated.has_washout and session.has_ended):
            return []
        partners = list(islice(session.partners_of(drafted, activation.partners, activated.row_keys), _MOST_PARTNERS))
        return _without_replaced(activated.rule, drafted, partners)
    if activation.same_ingredient:
        return session.medications_beside(drafted, drafted.medication.rxcuis, _MOST_PARTNERS)
    return session.medications_beside(drafted, sorted(activation.same_class), _MOST_PARTNERS)


_DOSE = frozenset({"dose", "each_dose", "frequency", "duration", "drug_dose", "pair_dose"})


class _RulesOfDrug(Struct, frozen=True, dict=True):
    """What is remembered of a medication, because trying its selectors and putting together what they ask is dear."""

    medication: MedicationIdentity
    activated: tuple[ActivatedRule, ...]
    scopes: dict[bool, Scope]

    @cached_property
    def reads(self) -> frozenset[str]:
        """The analytes and resource types that its rules read, and what is always asked."""
        rules = [activated.rule for activated in self.activated]
        read = reduce(or_, (rule.needs for rule in rules), NO_NEEDS if is_test(self.medication) else _ALWAYS)
        offers = [suggestion for rule in rules for band in rule.bands for suggestion in band.suggestions]
        offers += [suggestion for rule in rules for missing in rule.missing for suggestion in missing.suggestions]
        # A test that is ordered is not offered.
        always_asked = {"Patient", "ServiceRequest"} if any(offer.orders for offer in offers) else {"Patient"}
        return read.analytes | read.resources | always_asked

    def scope(self, *, signing: bool) -> Scope:
        """Return what the rules ask, worked out when it is asked for: a review of what is taken never does."""
        if signing not in self.scopes:
            rules = ((entry.rule, entry.activation) for entry in self.activated)
            self.scopes[signing] = Scope.of(rules, self.medication, signing=signing)
        return self.scopes[signing]
