"""Judging one drafted medication: which of its rules speaks, and why the others keep quiet.

A draft meets only the rules of its ingredients and classes, a rule about a pair only where the other side is taken or
drafted; it is then judged before each partner, and the worst is said. Bands are read from top to bottom and the first
true one wins; unknown never fires. A value that is too old is still looked at: what fires on it comes one step lower
and says so, and where nothing fires on it it counts as unknown.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from cards.card import Indicator
from cards.markdown import plain
from cards.rules.chart import Chart, Taken
from cards.rules.compiled import (
    CompiledBand,
    CompiledMissing,
    CompiledRule,
    Index,
    compile_family,
)
from cards.rules.drafted import Drafted
from cards.rules.fact import Fact
from cards.rules.family import Family
from cards.rules.finding import Finding, Offer, Silence
from cards.rules.needs import needs_of
from cards.rules.offers import is_answered, offers_of
from cards.rules.predicate import Predicate
from cards.rules.rule import SilentWhen
from cards.rules.situation import Situation
from cards.rules.template import Template
from cards.rules.trigger import Call
from cards.rules.words import word_of
from fhir.mapping.medications import Identity

MISSING = "missing"
"""The band of a finding that asks for missing data."""

WITHIN_LIMITS = "within-limits"
"""The reason of a rule that looked and found nothing."""

# A client can send any mixture; only so many are remembered.
_MOST_REMEMBERED = 4096
_ONE_STEP_LOWER: dict[Indicator, Indicator] = {"critical": "warning", "warning": "info", "info": "info"}


class Judgement(Struct, frozen=True):
    """What the rules of one draft came to."""

    findings: tuple[Finding, ...]
    silences: tuple[Silence, ...]


class Wake(NamedTuple):
    """A rule that a draft wakes, and how."""

    rule: CompiledRule
    call: Call


class RuleBook:
    """All rules, indexed by ingredient and class."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.rules = tuple(rules)
        self.needs = needs_of(frozenset().union(*(rule.uses for rule in self.rules)))
        self._index = Index(self.rules)
        self._awake: dict[tuple[object, ...], tuple[Wake, ...]] = {}

    def rules_for(self, medication: Identity) -> tuple[Wake, ...]:
        """The rules that a medication wakes."""
        key = (medication.rxcuis, medication.systemic, medication.dose_form, medication.route)
        known = self._awake.get(key)
        if known is None:
            of_drug = ((rule, rule.trigger.call(medication)) for rule in self._index.of(medication))
            known = tuple(Wake(rule, call) for rule, call in of_drug if call is not None)
            if len(self._awake) < _MOST_REMEMBERED:
                self._awake[key] = known
        return known

    def judge(self, chart: Chart, drafted: Drafted) -> Judgement:
        """What every rule of this draft says or why it does not."""
        awake = self.rules_for(drafted.medication)
        answers = [_answer(wake, chart, drafted) for wake in awake]
        said = zip(awake, answers, strict=True)
        silences = [answer for wake, answer in said if isinstance(answer, Silence) and not _is_no_news(wake, answer)]
        alone = answers.count(None)
        if alone:
            looked = f"looked for {alone} interaction{'s' if alone > 1 else ''}: none of the partner drugs is taken."
            silences.append(Silence(drafted.draft.name, "no-partner", f"{_capital(drafted)}: {looked}"))
        return Judgement(tuple(answer for answer in answers if isinstance(answer, Finding)), tuple(silences))


def _is_no_news(wake: Wake, silence: Silence) -> bool:
    """A rule about every drug has looked, as it always does, and found nothing."""
    return wake.rule.trigger.is_for_any and silence.reason == WITHIN_LIMITS


def _capital(drafted: Drafted) -> str:
    name = plain(drafted.medication.name)
    return f"{name[:1].upper()}{name[1:]}"


def families() -> list[Family]:
    """Every family: a table in this folder and the module of the same name beside it."""
    names = sorted(
        entry.name.removesuffix(".json")
        for entry in files("cards.rules").iterdir()
        if entry.name.endswith(".json") and not entry.name.endswith(".schema.json")
    )
    found = [import_module(f"cards.rules.{name}").FAMILY for name in names]
    return [family for family in found if isinstance(family, Family)]


@cache
def rule_book() -> RuleBook:
    """The rules of every family, read and compiled once."""
    return RuleBook(rule for family in families() for rule in compile_family(family))


def _answer(wake: Wake, chart: Chart, drafted: Drafted) -> Finding | Silence | None:
    """What one rule says; None where it is about a pair and the other side is not there."""
    rule, call = wake
    if call.is_local:
        return Silence(rule.id, "local-form", f"{rule.declared.title}: a local form does not wake this rule.")
    alone = Situation(chart, drafted, call.ingredient, trigger=rule.trigger)
    partners = _partners(call, chart, drafted)
    if partners:
        return _worst(rule, alone, partners)
    return _spoken(rule, _decide(rule, alone)) if call.alone else None


def _partners(call: Call, chart: Chart, drafted: Drafted) -> list[Taken]:
    if call.same_ingredient:
        return chart.taken_beside(drafted, drafted.medication.rxcuis)
    if call.same_class:
        return chart.taken_beside(drafted, sorted(call.same_class))
    return chart.partners_of(drafted, call.partners) if call.partners else []


def _worst(rule: CompiledRule, alone: Situation, partners: Iterable[Taken]) -> Finding | Silence:
    """The worst that the rule says about one of the partners, said of all for whom it says it."""
    decided = [_decide(rule, alone.with_partners((one,))) for one in partners]
    verdicts = [one for one in decided if isinstance(one, _Verdict)]
    if not verdicts:
        return next(one for one in decided if isinstance(one, Silence))
    worst = min(verdicts, key=lambda one: one.rank)
    same = tuple(one.situation.partners[0] for one in verdicts if one.rank == worst.rank)
    less = tuple(
        one.situation.partners[0] for one in verdicts if one.rank != worst.rank and one.rank[0] != _HARM["silent"]
    )
    if len(same) > 1:
        worst = replace(worst, situation=worst.situation.with_partners(same))
    return _spoken(rule, replace(worst, less=less) if less else worst)


class _Verdict(Struct, frozen=True):
    """What a rule is going to say: a band, or an entry for missing data; `less` are partners of milder bands."""

    situation: Situation
    rank: tuple[int, int]
    says: CompiledBand | CompiledMissing
    less: tuple[Taken, ...] = ()


_HARM = {"critical": 0, "warning": 1, "info": 2, "silent": 3}


def _decide(rule: CompiledRule, situation: Situation) -> _Verdict | Silence:
    for position, band in enumerate(rule.bands):
        if band.when.test(situation) is True:
            quiet = _quiet(rule, band, situation)
            return quiet or _Verdict(situation, (_HARM[band.declared.indicator], position), band)
    strict = situation.with_fresh_values_only()
    undecided = [band for band in rule.bands if band.when.test(strict) is None]
    unknown = [band for band in undecided if _quiet(rule, band, strict) is None]
    if undecided and not unknown:
        return _quiet(rule, undecided[0], strict) or _unspoken(rule, unknown, strict)
    for position, entry in enumerate(rule.missing):
        if entry.when.test(strict) is True and any(band.declared.id in entry.bands for band in unknown):
            return _Verdict(strict, (_HARM[entry.declared.indicator], len(rule.bands) + position), entry)
    return _unspoken(rule, unknown, strict)


def _spoken(rule: CompiledRule, decided: _Verdict | Silence) -> Finding | Silence:
    if isinstance(decided, Silence):
        return decided
    if isinstance(decided.says, CompiledMissing):
        return _ask(rule, decided.says, decided.situation)
    return _speak(rule, decided.says, decided.situation, decided.less)


def _quiet(rule: CompiledRule, band: CompiledBand, situation: Situation) -> Silence | None:
    """The reason for which the rule keeps quiet about this band."""
    for quiet in _reasons(rule, band, situation, "silence"):
        code = quiet.code.replace("_", "-")
        return Silence(rule.id, code, f"{rule.declared.title}: {quiet.text}")
    return None


def _reasons(rule: CompiledRule, band: CompiledBand, situation: Situation, instead: str) -> Iterator[SilentWhen]:
    """The rule's reasons to keep quiet, or to say it as info only, that hold for this band."""
    for quiet in rule.quiet:
        declared = quiet.declared
        is_meant = declared.instead == instead and band.declared.id not in declared.except_bands
        if is_meant and quiet.when.test(situation) is True:
            yield declared


def _speak(
    rule: CompiledRule, band: CompiledBand, situation: Situation, less: tuple[Taken, ...] = ()
) -> Finding | Silence:
    if band.declared.indicator == "silent":
        return Silence(rule.id, band.declared.id.replace("_", "-"), f"{rule.declared.title}: {band.declared.detail}")
    if is_answered(band.suggestions, situation):
        return _answered(rule)
    unsure = situation.is_unsure(band.when.uses, critical=band.declared.indicator == "critical")
    indicator = _ONE_STEP_LOWER[band.declared.indicator] if unsure else band.declared.indicator
    milder = tuple(reason.text for reason in _reasons(rule, band, situation, "info"))
    lower: tuple[str, ...] = ()
    if indicator == "critical" and not milder:
        lower = tuple(reason.text for reason in _reasons(rule, band, situation, "warning"))
    summary = _summary(rule, band, situation, unsure)
    indicator = "info" if milder else "warning" if lower else indicator
    text = _Text(band.declared.id, indicator, band.when, summary, band.detail, not unsure, band.declared.cites)
    offers = offers_of(rule, band.suggestions, situation, situation.is_doubtful(band.when.uses))
    also = situation.with_partners(less)
    named = (f"The same rule, milder: {', '.join(also.partner_names())}.",) if less else ()
    return _finding(rule, text, offers, situation, (*milder, *lower, *named), also.partner_facts())


def _summary(rule: CompiledRule, band: CompiledBand, situation: Situation, unsure: bool) -> Template:
    if band.tells_a_dose and situation.is_unstable and rule.unstable_summary is not None:
        return rule.unstable_summary
    return band.unsure_summary if unsure and band.unsure_summary is not None else band.summary


def _ask(rule: CompiledRule, entry: CompiledMissing, situation: Situation) -> Finding | Silence:
    if is_answered(entry.suggestions, situation):
        return _answered(rule)
    text = _Text(MISSING, entry.declared.indicator, entry.when, entry.summary, entry.detail, is_certain=True, cites=())
    offers = offers_of(rule, entry.suggestions, situation, doubtful=False)
    return _finding(rule, text, offers, situation)


def _answered(rule: CompiledRule) -> Silence:
    return Silence(rule.id, "already-ordered", f"{rule.declared.title}: the test it asks for is already ordered.")


def _unspoken(rule: CompiledRule, unknown: list[CompiledBand], situation: Situation) -> Silence:
    if not unknown:
        seen = ", ".join(situation.estimate_phrases(rule.band_uses))
        return Silence(
            rule.id,
            WITHIN_LIMITS,
            f"{rule.declared.title}: looked, no limit is reached{f' ({seen})' if seen else ''}.",
        )
    uses = frozenset().union(*(band.when.uses for band in unknown))
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
