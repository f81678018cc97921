"""Judging one drafted medication: which of its rules speaks, and why the others keep quiet.

A draft meets only the rules of its ingredients and classes, a rule about a pair only where the other side is taken or
drafted; it is then judged before each partner, and the worst is said. Bands are read from top to bottom and the first
true one wins; unknown never fires. A value that is too old is still looked at: what fires on it comes one step lower
and says so, and where nothing fires on it it counts as unknown.
"""

from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from importlib import import_module
from importlib.resources import files
from typing import NamedTuple

from cards.markdown import plain
from cards.rules.chart import Chart
from cards.rules.compiled import CompiledRule, Index, compile_family
from cards.rules.deciding import Decided, Nothing, Verdict, decide, decide_worst
from cards.rules.drafted import Drafted
from cards.rules.family import Family
from cards.rules.finding import Finding, Silence
from cards.rules.needs import needs_of
from cards.rules.saying import MISSING, WITHIN_LIMITS, band_of, finding_of, silence_of
from cards.rules.situation import Situation
from cards.rules.taken import Taken
from cards.rules.trigger import Call
from fhir.mapping.medications import Identity
from fhir.terminology.medications import Ingredient

__all__ = ["MISSING", "WITHIN_LIMITS", "Judgement", "RuleBook", "Wake", "families", "rule_book"]

# A client can send any mixture; only so many are remembered.
_MOST_REMEMBERED = 4096
# No patient takes as many partners of one drug; a session of 200 drafts of one drug must not cost 40,000 decisions.
_MOST_PARTNERS = 24


class Judgement:
    """What the rules of one draft came to; the words are written when somebody asks for them."""

    def __init__(self, drafted: Drafted, decided: Sequence[Decided], alone: int) -> None:
        self._drafted = drafted
        self._decided = decided
        self._alone = alone

    @cached_property
    def found(self) -> frozenset[tuple[str, str]]:
        """Rule and band of every finding."""
        return frozenset((one.rule.id, band_of(one)) for one in self._decided if isinstance(one, Verdict))

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is said."""
        return tuple(finding_of(one) for one in self._decided if isinstance(one, Verdict))

    @cached_property
    def silences(self) -> tuple[Silence, ...]:
        """Why the other rules say nothing; one about every drug that looked, as it always does, is no news."""
        silences = []
        for one in self._decided:
            if isinstance(one, Silence):
                silences.append(one)
            elif isinstance(one, Nothing) and (one.unknown or not one.rule.trigger.is_for_any):
                silences.append(silence_of(one))
        if self._alone:
            looked = f"looked for {self._alone} interaction{'s' if self._alone > 1 else ''}"
            text = f"{_capital(self._drafted)}: {looked}: none of the partner drugs is taken."
            silences.append(Silence(self._drafted.draft.name, "no-partner", text))
        return tuple(silences)


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
        # The rules of one ingredient look at the same situation: what one has worked out the next one has.
        alone: dict[Ingredient, Situation] = {}
        answers = []
        for wake in self.rules_for(drafted.medication):
            ingredient = wake.call.ingredient
            situation = alone.get(ingredient)
            if situation is None:
                situation = alone[ingredient] = Situation(chart, drafted, ingredient)
            answers.append(_answer(wake, situation))
        decided = [answer for answer in answers if answer is not None]
        return Judgement(drafted, decided, len(answers) - len(decided))


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


def _answer(wake: Wake, alone: Situation) -> Decided | None:
    """What one rule says; None where it is about a pair and the other side is not there."""
    rule, call = wake
    if call.is_local:
        return Silence(rule.id, "local-form", f"{rule.declared.title}: a local form does not wake this rule.")
    partners = _partners(call, alone.chart, alone.drafted)
    if partners:
        return decide_worst(rule, alone, partners)
    return decide(rule, alone) if call.alone else None


def _partners(call: Call, chart: Chart, drafted: Drafted) -> list[Taken]:
    if call.same_ingredient:
        return chart.taken_beside(drafted, drafted.medication.rxcuis)[:_MOST_PARTNERS]
    if call.same_class:
        return chart.taken_beside(drafted, sorted(call.same_class))[:_MOST_PARTNERS]
    return chart.partners_of(drafted, call.partners)[:_MOST_PARTNERS] if call.partners else []
