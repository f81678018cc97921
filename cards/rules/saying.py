"""The words of a decision: a finding with its facts, texts, evidence and offers, or a silence with its reason."""

from collections.abc import Iterable

from msgspec import Struct

from cards.card import Indicator
from cards.rules.compiled import CompiledBand, CompiledMissing, CompiledRule
from cards.rules.deciding import Nothing, Verdict, reasons
from cards.rules.fact import Fact
from cards.rules.finding import Finding, Offer, Silence
from cards.rules.offers import offers_of
from cards.rules.predicate import Predicate
from cards.rules.situation import Situation
from cards.rules.template import Template
from cards.rules.words import word_of

MISSING = "missing"
"""The band of a finding that asks for missing data."""

WITHIN_LIMITS = "within-limits"
"""The reason of a rule that looked and found nothing."""

_ONE_STEP_LOWER: dict[Indicator, Indicator] = {"critical": "warning", "warning": "info", "info": "info"}


def band_of(verdict: Verdict) -> str:
    """The band that is going to be said."""
    return verdict.says.declared.id if isinstance(verdict.says, CompiledBand) else MISSING


def finding_of(verdict: Verdict) -> Finding:
    """The finding that a verdict comes to."""
    if isinstance(verdict.says, CompiledMissing):
        return _ask(verdict, verdict.says)
    return _speak(verdict, verdict.says)


def _speak(verdict: Verdict, band: CompiledBand) -> Finding:
    rule, situation, declared = verdict.rule, verdict.situation, band.declared
    assert declared.indicator != "silent"  # noqa: S101 - deciding.py makes a silence of it
    unsure = situation.is_unsure(band.when.uses, critical=declared.indicator == "critical")
    indicator: Indicator = _ONE_STEP_LOWER[declared.indicator] if unsure else declared.indicator
    milder = tuple(reason.text for reason in reasons(rule, band, situation, "info"))
    lower: tuple[str, ...] = ()
    if indicator == "critical" and not milder:
        lower = tuple(reason.text for reason in reasons(rule, band, situation, "warning"))
    summary = _summary(rule, band, situation, unsure)
    indicator = "info" if milder else "warning" if lower else indicator
    text = _Text(declared.id, indicator, band.when, summary, band.detail, not unsure, declared.cites)
    offers = offers_of(rule, band.suggestions, situation, situation.is_doubtful(band.when.uses))
    also = situation.with_partners(verdict.less)
    named = (f"The same rule, milder: {', '.join(also.partner_names())}.",) if verdict.less else ()
    return _finding(rule, text, offers, situation, (*milder, *lower, *named), also.partner_facts())


def _summary(rule: CompiledRule, band: CompiledBand, situation: Situation, unsure: bool) -> Template:
    if band.tells_a_dose and situation.is_unstable and rule.unstable_summary is not None:
        return rule.unstable_summary
    return band.unsure_summary if unsure and band.unsure_summary is not None else band.summary


def _ask(verdict: Verdict, entry: CompiledMissing) -> Finding:
    text = _Text(MISSING, entry.declared.indicator, entry.when, entry.summary, entry.detail, is_certain=True, cites=())
    offers = offers_of(verdict.rule, entry.suggestions, verdict.situation, doubtful=False)
    return _finding(verdict.rule, text, offers, verdict.situation)


def silence_of(nothing: Nothing) -> Silence:
    """Why a rule that was asked has nothing to say."""
    rule, situation = nothing.rule, nothing.situation
    if not nothing.unknown:
        seen = ", ".join(situation.estimate_phrases(rule.band_uses))
        return Silence(
            rule.id,
            WITHIN_LIMITS,
            f"{rule.declared.title}: looked, no limit is reached{f' ({seen})' if seen else ''}.",
        )
    uses = frozenset().union(*(band.when.uses for band in nothing.unknown))
    reason, text = _own_gap(rule, uses, situation) or situation.why_unknown(uses)
    return Silence(rule.id, reason, f"{rule.declared.title}: {text}")


def _own_gap(rule: CompiledRule, uses: frozenset[str], situation: Situation) -> tuple[str, str] | None:
    """Why a fact is not known that only this rule's family knows about."""
    gaps = (gap(situation) for use, gap in rule.family.gaps.items() if use in uses)
    return next((gap for gap in gaps if gap is not None), None)


class _Text(Struct, frozen=True):
    """What is to be said, how loudly, and the condition whose facts fill it."""

    band: str
    indicator: Indicator
    when: Predicate
    summary: Template
    detail: Template
    is_certain: bool
    cites: tuple[int, ...]


def _finding(
    rule: CompiledRule,
    text: _Text,
    offers: tuple[Offer, ...],
    situation: Situation,
    also: tuple[str, ...] = (),
    beside: Iterable[Fact] = (),
) -> Finding:
    found = [situation.drafted_fact(), *situation.partner_facts(), *text.when.facts(situation), *beside]
    facts = tuple(dict.fromkeys(found))
    word = word_of(rule, text.when, facts, situation)
    asked = [question for question, when in rule.questions if when.test(situation) is True]
    running = situation.running_note() if text.indicator != "info" and not rule.trigger.same_ingredient else None
    declared = rule.declared
    return Finding(
        rule=rule.id,
        band=text.band,
        indicator=text.indicator,
        is_certain=text.is_certain,
        # A text with an unfilled name is never sent; the title has none.
        summary=text.summary.fill(word) or f"{declared.title}: please check this order.",
        detail=text.detail.fill(word) or declared.title,
        priority=declared.priority,
        facts=facts,
        notes=(*situation.notes(text.when.uses), *also, *asked, *([running] if running else ())),
        suggestions=offers,
        partners=situation.partners,
        group=declared.merge_group or rule.family.name,
        evidence=tuple(declared.evidence[position] for position in text.cites) or declared.evidence,
        override_reasons=rule.override_reasons,
    )
