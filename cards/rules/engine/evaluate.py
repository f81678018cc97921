"""Evaluates one rule for one drafted drug, without writing any words: a band, missing data, or nothing.

Bands are read from top to bottom and the first true one wins; unknown never matches. A value that is too old is still
used: what matches on it is shown one step lower, and where nothing matches on it it counts as unknown.

A draft meets only the rules of its ingredients and classes, and a rule about a pair only where the other drug is taken
or drafted. Such a rule is judged with each partner, and the most severe finding is shown.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from cards.card import SEVERITY
from cards.rules.engine.compile import CompiledBand, CompiledMissingData, CompiledRule
from cards.rules.engine.finding import Silence, is_answered
from cards.rules.language.rule import SilentWhen
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication


class Match(Struct, frozen=True, gc=False):
    """A rule matches: one of its bands, or an entry for missing data; `less` are partners of milder bands.

    A lower `rank` is worse.
    """

    rule: CompiledRule
    context: RuleContext
    rank: tuple[int, int]
    says: CompiledBand | CompiledMissingData
    less: tuple[CurrentMedication, ...] = ()


class NoMatch(Struct, frozen=True, gc=False):
    """A rule does not match: no band is true; `unknown` are those that could not be decided."""

    rule: CompiledRule
    context: RuleContext
    unknown: tuple[CompiledBand, ...] = ()


Evaluation: TypeAlias = Match | NoMatch | Silence


def evaluate_rule(rule: CompiledRule, context: RuleContext) -> Evaluation:
    """The match of the rule in this context, or why it has none."""
    return _unless_answered(_decide(rule, context))


def evaluate_partners(rule: CompiledRule, alone: RuleContext, partners: Iterable[CurrentMedication]) -> Evaluation:
    """The worst match of the rule with one of the partners, for all partners that have this match."""
    evaluation = [_decide(rule, alone.before((one,), rule.trigger)) for one in partners]
    matches = [one for one in evaluation if isinstance(one, Match)]
    if not matches:
        return evaluation[0]
    worst = min(matches, key=_rank)
    same = tuple(one.context.partners[0] for one in matches if one.rank == worst.rank)
    less = tuple(
        one.context.partners[0] for one in matches if one.rank != worst.rank and one.rank[0] != -SEVERITY["silent"]
    )
    if len(same) > 1:
        worst = replace(worst, context=worst.context.with_partners(same))
    return _unless_answered(replace(worst, less=less) if less else worst)


def _rank(match: Match) -> tuple[int, int]:
    return match.rank


def _decide(rule: CompiledRule, context: RuleContext) -> Evaluation:
    undecided = []
    for position, band in enumerate(rule.bands):
        truth = band.when.test(context)
        if truth is True:
            quiet = _quiet(rule, band, context)
            return quiet or Match(rule, context, (-SEVERITY[band.declared.indicator], position), band)
        if truth is None:
            undecided.append(band)
    if rule.estimates and context.has_old_estimate(rule.estimates):
        context = context.with_fresh_values_only()
        undecided = [band for band in rule.bands if band.when.test(context) is None]
    return _undecided(rule, undecided, context) if undecided else NoMatch(rule, context)


def _undecided(rule: CompiledRule, undecided: list[CompiledBand], context: RuleContext) -> Evaluation:
    """A match that asks for missing data, where the rule declares one; bands that would be silent do not count."""
    unknown = [band for band in undecided if _quiet(rule, band, context) is None]
    if not unknown:
        return _quiet(rule, undecided[0], context) or NoMatch(rule, context)
    for position, entry in enumerate(rule.missing):
        if entry.when.test(context) is True and any(band.declared.id in entry.bands for band in unknown):
            return Match(rule, context, (-SEVERITY[entry.declared.indicator], len(rule.bands) + position), entry)
    return NoMatch(rule, context, tuple(unknown))


def _quiet(rule: CompiledRule, band: CompiledBand, context: RuleContext) -> Silence | None:
    """The reason for which the rule stays silent about this band; None where there is none."""
    for quiet in reasons(rule, band, context, "silence"):
        code = quiet.code.replace("_", "-")
        return Silence(rule.id, code, f"{rule.declared.title}: {quiet.text}")
    return None


def reasons(rule: CompiledRule, band: CompiledBand, context: RuleContext, instead: str) -> Iterator[SilentWhen]:
    """The entries of the rule's `silent_when` that hold for this band; `instead` is what they show instead."""
    for quiet in rule.quiet:
        declared = quiet.declared
        is_meant = declared.instead == instead and band.declared.id not in declared.except_bands
        if is_meant and quiet.when.test(context) is True:
            yield declared


def _unless_answered(evaluation: Evaluation) -> Evaluation:
    """Silence for a band that is declared silent, and where what it asks for is ordered already."""
    if not isinstance(evaluation, Match):
        return evaluation
    title, says = evaluation.rule.declared.title, evaluation.says
    if isinstance(says, CompiledBand) and says.declared.indicator == "silent":
        return Silence(evaluation.rule.id, says.declared.id.replace("_", "-"), f"{title}: {says.declared.detail}")
    if is_answered(says.suggestions, evaluation.context):
        return Silence(evaluation.rule.id, "already-ordered", f"{title}: the test it asks for is already ordered.")
    return evaluation
