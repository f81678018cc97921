"""Evaluates one rule for one drafted drug, without writing any words: a finding, or a silence with its reason.

Bands are read from top to bottom and the first true one wins; unknown never matches. A value that is too old is still
used: what matches on it is shown one step lower, and where nothing matches on it it counts as unknown.

A draft meets only the rules of its ingredients and classes, and a rule about a pair only where the other drug is taken
or drafted. Such a rule is judged with each partner, and the most severe finding is shown. The suggestions that are
offered for a finding go with it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from cards.card import SEVERITY, Coding, Indicator, Suggestion
from cards.extension import Fact
from cards.rules.engine.compile import (
    CompiledBand,
    CompiledMissingData,
    CompiledRule,
    CompiledSilentWhen,
    CompiledSuggestion,
)
from cards.rules.language.rule import Asks, Evidence, OrderChange
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication
from cards.text import plain
from fhir.record.refusals import WhyNot

DRUG_FACTS: Final = frozenset({"draft", "medication"})
"""Names of the facts about what is ordered and taken, by which findings are compared."""


_RESULT: Final = "Observation/"


class OfferedSuggestion(Struct, frozen=True):
    """A suggestion whose conditions hold; `orders` are the positions of those of its tests that are not ordered yet.

    `change` is what is changed in this draft, worked out where the rule says only how. `is_of_adult`: it writes an
    adult's dose for a child.
    """

    suggestion: CompiledSuggestion
    is_recommended: bool
    orders: tuple[int, ...]
    change: OrderChange | None = None
    is_of_adult: bool = False


class RuleFinding(Struct, frozen=True, dict=True):
    """What a rule found about an order: what is said of it, what it is based on, and the reasons to override it.

    `is_certain` is False where it is based on old or contradicting values, which the notes tell; `suggestions` are the
    rule's own in its own order; `partners` is what stands on the other side of a pair; `yields_to` names the rules and
    bands whose finding about the same order says this one too.
    `asks` and `forbids` are what the band says, or the row of a table that decided (`Family.asks`, `Family.forbids`).
    """

    rule: str
    band: str
    indicator: Indicator
    is_certain: bool
    priority: int
    write: Callable[["RuleFinding"], "RuleFinding"] = lambda finding: finding
    """Returns it with its words, evidence and notes: for what is shown, a part of what is found."""
    summary: str = ""
    detail: str = ""
    of_others: str = ""
    """What the rule says of further partners in other bands; it stands in the detail too."""
    notes: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    override_reasons: tuple[Coding, ...] = ()
    asks_if_taken: str = ""
    """Asks whether a drug is taken that was last recorded long ago; it stands in the detail too."""
    facts: tuple[Fact, ...] = ()
    suggestions: tuple[OfferedSuggestion, ...] = ()
    partners: tuple[CurrentMedication, ...] = ()
    family: str = ""
    yields_to: tuple[str, ...] = ()
    asks: Asks = "end"
    forbids: bool = False
    offers: tuple[Suggestion, ...] = ()
    """What can be accepted; the card of an order makes it when it is composed (cards/suggest.py)."""

    @property
    def drug(self) -> str:
        """The drug of the draft, which is its first fact."""
        return plain(str(self.facts[0].value), 60)

    @property
    def draft_name(self) -> str:
        """The name of the draft that it is about."""
        return self.facts[0].source or ""

    @cached_property
    def other_drugs(self) -> frozenset[str]:
        """The sources of the other drugs that it names."""
        return frozenset(fact.source for fact in self.facts if fact.name == "medication" and fact.source is not None)

    @property
    def preference(self) -> tuple[int, bool, int]:
        """The worse one first, then one with a recommended suggestion, then the one with more of them."""
        recommended = True in [offer.is_recommended for offer in self.suggestions]
        return -SEVERITY[self.indicator], not recommended, -len(self.suggestions)

    def covers(self, other: "RuleFinding") -> bool:
        """Whether the other is the same finding of another draft, which this one names, and names no further drug."""
        return other.draft_name in self.other_drugs and other.other_drugs <= self.other_drugs | {self.draft_name}

    def is_implied_by(self, other: "RuleFinding") -> bool:
        """Whether the other finding says this one too, so that this one needs no line of its own."""
        is_older = other.rule in self.yields_to or f"{other.rule}/{other.band}" in self.yields_to
        return (is_older or self._repeats(other)) and SEVERITY[other.indicator] >= SEVERITY[self.indicator]

    def _repeats(self, other: "RuleFinding") -> bool:
        """Whether both are based on the same results of one drug alone, and the other goes before this one.

        Spironolactone at a potassium of 6.3 is contraindicated by its own rule and by a row of the table of labels.
        """
        if self.partners or other.partners or self.asks != other.asks or self.priority >= other.priority:
            return False
        results, others = ({fact for fact in finding.facts if fact.name not in DRUG_FACTS} for finding in (self, other))
        return bool(results) and results == others and all((fact.source or "").startswith(_RESULT) for fact in results)


def merge_repeated_findings(
    by_draft: Sequence[Sequence[RuleFinding]],
) -> tuple[list[list[RuleFinding]], list[WhyNot]]:
    """Return the findings of each draft without those that another draft's card shows, and a silence for each of those.

    What such a finding says too goes with it: nine of ten equal orders have no card about their own dose beside the one
    that adds the ten.
    """
    of_draft: list[list[RuleFinding]] = [[] for _ in by_draft]
    # Only findings that name the draft are compared with it: 200 drafts are not compared with each other.
    kept_findings: defaultdict[tuple[str, str], list[tuple[int, RuleFinding]]] = defaultdict(list)
    moved_findings: defaultdict[int, list[tuple[RuleFinding, RuleFinding]]] = defaultdict(list)
    silences = []
    placed = [(position, finding) for position, findings in enumerate(by_draft) for finding in findings]
    for rank, (position, finding) in enumerate(sorted(placed, key=lambda placed: placed[1].preference)):
        others = (ranked for name in finding.other_drugs for ranked in kept_findings.get((finding.rule, name), ()))
        _, better = min(
            (ranked for ranked in others if ranked[1].covers(finding)), key=itemgetter(0), default=(0, None)
        )
        if better is None:
            kept_findings[finding.rule, finding.draft_name].append((rank, finding))
            of_draft[position].append(finding)
        else:
            moved_findings[position].append((finding, better))
            silences.append(_shown_on_card_of(better, finding))
    for position, moved in moved_findings.items():
        for finding in tuple(of_draft[position]):
            better = next((better for other, better in moved if finding.is_implied_by(other)), None)
            if better is not None:
                of_draft[position].remove(finding)
                silences.append(_shown_on_card_of(better, finding))
    return of_draft, silences


def _shown_on_card_of(better: RuleFinding, finding: RuleFinding) -> WhyNot:
    return WhyNot(finding.rule, "said-once", f"{finding.draft_name}: said on the card of {better.draft_name}.")


def offered_suggestions(
    rule: CompiledRule, suggestions: Iterable[CompiledSuggestion], context: RuleContext, uses: frozenset[str]
) -> tuple[OfferedSuggestion, ...]:
    """Return the suggestions that fit a finding on these facts.

    While the values are doubtful nothing but asking again is preselected; while the kidneys are unstable, asking again
    is among them.
    """
    doubtful, offers = context.is_doubtful(uses), []
    for suggestion in suggestions:
        if _fits(suggestion, context):
            recommended = not doubtful and suggestion.recommended.test(context) is True
            change = _change(rule, suggestion, context)
            if change is not None or suggestion.declared.change is None:
                tests, of_adult = _open_orders(suggestion, context), _is_of_adult(suggestion, context, uses)
                offers.append(OfferedSuggestion(suggestion, recommended and not of_adult, tests, change, of_adult))
    again = rule.when_unsure
    tests = _open_orders(again, context) if again is not None else ()
    if again is not None and tests and (doubtful or context.is_unstable_by(uses)):
        # On a renewal nothing that takes a drug away is preselected.
        repeat = OfferedSuggestion(again, doubtful and context.new_start is True, tests)
        offers.insert(0 if doubtful else len(offers), repeat)
    return tuple(offers)


def _change(rule: CompiledRule, suggestion: CompiledSuggestion, context: RuleContext) -> OrderChange | None:
    declared = suggestion.declared.change
    if declared is None or declared.computed is None:
        return declared
    change = rule.family.changes[declared.computed](context)
    return replace(change, raises=True) if change is not None and declared.raises else change


def _is_of_adult(suggestion: CompiledSuggestion, context: RuleContext, uses: frozenset[str]) -> bool:
    """Whether the rule writes an amount of its own for a child without having asked for the age."""
    if not suggestion.writes_amount or not context.is_child or "age" in uses:
        return False
    return suggestion.only_if is None or "age" not in suggestion.only_if.uses


def _fits(suggestion: CompiledSuggestion, context: RuleContext) -> bool:
    if suggestion.only_if is not None and suggestion.only_if.test(context) is not True:
        return False
    return not (suggestion.declared.from_estimate and context.gives_no_dose)


def _applicable_orders(suggestion: CompiledSuggestion, context: RuleContext) -> list[int]:
    return [
        position
        for position, order in enumerate(suggestion.orders)
        if order.only_if is None or order.only_if.test(context) is True
    ]


def _open_orders(suggestion: CompiledSuggestion, context: RuleContext) -> tuple[int, ...]:
    """Positions of the tests that apply and are not ordered yet."""
    if not suggestion.orders:
        return ()
    where = suggestion.declared.answers or "any"
    orders = ((position, suggestion.orders[position]) for position in _applicable_orders(suggestion, context))
    return tuple(
        position for position, order in orders if not context.session.is_ordered(order.codes, order.days, where)
    )


def is_answered(answering: Iterable[CompiledSuggestion], context: RuleContext) -> bool:
    """Whether what one of these suggestions asks for, tests and added drugs, is ordered already."""
    return any(_is_done(suggestion, context) for suggestion in answering) if answering else False


def _is_done(suggestion: CompiledSuggestion, context: RuleContext) -> bool:
    applicable = _applicable_orders(suggestion, context)
    if not applicable and not suggestion.declared.create:
        return False
    return not _open_orders(suggestion, context) and _is_added(suggestion, context)


def _is_added(suggestion: CompiledSuggestion, context: RuleContext) -> bool:
    """Whether one of the drugs to add is there; nothing to add is there always."""
    codes = [order.product.rxcui for order in suggestion.declared.create]
    return not codes or any(context.is_beside(code, suggestion.declared.answers) for code in codes)


class Match(Struct, frozen=True, gc=False):
    """A rule matches: one of its bands, or an entry for missing data.

    `others` are what the rule says of partners in other bands. A lower `rank` is worse.
    """

    rule: CompiledRule
    context: RuleContext
    rank: tuple[int, int]
    says: CompiledBand | CompiledMissingData
    others: tuple["Match", ...] = ()


class NoMatch(Struct, frozen=True, gc=False):
    """A rule does not match: no band is true; `unknown` are those that could not be decided."""

    rule: CompiledRule
    context: RuleContext
    unknown: tuple[CompiledBand, ...] = ()


Evaluation: TypeAlias = Match | NoMatch | WhyNot


def evaluate_partners(
    rule: CompiledRule, bands: Sequence[CompiledBand], alone: RuleContext, partners: Iterable[CurrentMedication]
) -> Evaluation:
    """Return the worst match of the rule with its partners, for all that have this match, and with it the others."""
    evaluations = [
        decide(rule, bands, replace(alone, partners=(partner,), trigger=rule.trigger)) for partner in partners
    ]
    matches = [match for match in evaluations if isinstance(match, Match)]
    if not matches:
        # What is not known about one partner is not hidden by a partner about whom all is known.
        return next(
            (
                evaluation_of_partner
                for evaluation_of_partner in evaluations
                if isinstance(evaluation_of_partner, NoMatch) and evaluation_of_partner.unknown
            ),
            evaluations[0],
        )
    if len(evaluations) == 1:
        return unless_answered(matches[0])
    # What is not known to be taken today stands behind what is as severe, and last of those that are named together.
    matches.sort(key=lambda match: (match.rank[0], match.context.is_doubtful_partner, match.rank[1]))
    together = []
    for rank in dict.fromkeys(match.rank for match in matches):
        same = [match for match in matches if match.rank == rank]
        context = replace(same[0].context, partners=tuple([match.context.partners[0] for match in same]))
        together.append(replace(same[0], context=context))
    others = tuple([match for match in together[1:] if match.rank[0] != -SEVERITY["silent"]])
    return unless_answered(replace(together[0], others=others))


def decide(rule: CompiledRule, bands: Sequence[CompiledBand], context: RuleContext) -> Evaluation:
    """Return the match of the rule in this context; `bands` are those of its bands that can be true of the drug."""
    undecided = []
    for position, band in enumerate(bands):
        truth = band.when.test(context)
        if truth is True:
            quiet = _quiet(rule, band, context) if band.silencing else None
            return quiet or Match(rule, context, (-SEVERITY[band.declared.indicator], position), band)
        if truth is None:
            undecided.append(band)
    if rule.estimates and context.has_old_estimate(rule.estimates):
        context = replace(context, fresh_only=True)
        undecided = [band for band in bands if band.when.test(context) is None]
    return _undecided(rule, undecided, context) if undecided else NoMatch(rule, context)


def _undecided(rule: CompiledRule, undecided: list[CompiledBand], context: RuleContext) -> Evaluation:
    """Return a match that asks for missing data, if the rule declares one; bands that would be silent do not count."""
    unknown = [band for band in undecided if _quiet(rule, band, context) is None]
    if not unknown:
        return _quiet(rule, undecided[0], context) or NoMatch(rule, context)
    for position, entry in enumerate(rule.missing):
        if entry.when.test(context) is True and any(band.declared.id in entry.bands for band in unknown):
            return Match(rule, context, (-SEVERITY[entry.declared.indicator], len(rule.bands) + position), entry)
    return NoMatch(rule, context, tuple(unknown))


def _quiet(rule: CompiledRule, band: CompiledBand, context: RuleContext) -> WhyNot | None:
    """Return the reason why the rule shows nothing for this band; None where there is none."""
    for quiet in band.silencing:
        if quiet.when.test(context) is True:
            declared = quiet.declared
            return WhyNot(rule.id, declared.code.replace("_", "-"), f"{rule.declared.title}: {declared.text}")
    return None


def reasons(band: CompiledBand, context: RuleContext, instead: str) -> list[CompiledSilentWhen]:
    """Return the entries of the rule's `silent_when` that hold for this band; `instead` is what they show instead."""
    return [quiet for quiet in band.softening if quiet.declared.instead == instead and quiet.when.test(context) is True]


def unless_answered(match: Match) -> Match | WhyNot:
    """Return the match; a reason for a band that is declared silent, and where what it asks for is ordered already."""
    title, says = match.rule.declared.title, match.says
    if isinstance(says, CompiledBand) and says.declared.indicator == "silent":
        return WhyNot(match.rule.id, says.declared.id.replace("_", "-"), f"{title}: {says.declared.detail}")
    if is_answered(says.answering, match.context):
        return WhyNot(match.rule.id, "already-ordered", f"{title}: the test it asks for is already ordered.")
    return match
