"""What a rule has to say about a drafted drug, decided without a word being written: a band, missing data, or nothing.

Bands are read from top to bottom and the first true one wins; unknown never fires. A value that is too old is still
looked at: what fires on it is said one step lower, and where nothing fires on it it counts as unknown.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.compiled import CompiledBand, CompiledMissing, CompiledRule
from cards.rules.finding import Silence
from cards.rules.offers import is_answered
from cards.rules.rule import SilentWhen
from cards.rules.situation import Situation
from cards.rules.taken import Taken

_HARM = {"critical": 0, "warning": 1, "info": 2, "silent": 3}


class Verdict(Struct, frozen=True, gc=False):
    """What a rule is going to say: a band, or an entry for missing data; `less` are partners of milder bands.

    A lower `rank` is worse.
    """

    rule: CompiledRule
    situation: Situation
    rank: tuple[int, int]
    says: CompiledBand | CompiledMissing
    less: tuple[Taken, ...] = ()


class Nothing(Struct, frozen=True, gc=False):
    """A rule has nothing to say: no band is true; `unknown` are those that could not be decided."""

    rule: CompiledRule
    situation: Situation
    unknown: tuple[CompiledBand, ...] = ()


Decided: TypeAlias = Verdict | Nothing | Silence


def decide(rule: CompiledRule, situation: Situation) -> Decided:
    """What the rule says in this situation, or why it keeps quiet."""
    return _unless_answered(_decide(rule, situation))


def decide_worst(rule: CompiledRule, alone: Situation, partners: Iterable[Taken]) -> Decided:
    """The worst that the rule says about one of the partners, said of all for whom it says it."""
    decided = [_decide(rule, alone.before((one,), rule.trigger)) for one in partners]
    verdicts = [one for one in decided if isinstance(one, Verdict)]
    if not verdicts:
        return decided[0]
    worst = min(verdicts, key=_rank)
    same = tuple(one.situation.partners[0] for one in verdicts if one.rank == worst.rank)
    less = tuple(
        one.situation.partners[0] for one in verdicts if one.rank != worst.rank and one.rank[0] != _HARM["silent"]
    )
    if len(same) > 1:
        worst = replace(worst, situation=worst.situation.with_partners(same))
    return _unless_answered(replace(worst, less=less) if less else worst)


def _rank(verdict: Verdict) -> tuple[int, int]:
    return verdict.rank


def _decide(rule: CompiledRule, situation: Situation) -> Decided:
    undecided = []
    for position, band in enumerate(rule.bands):
        truth = band.when.test(situation)
        if truth is True:
            quiet = _quiet(rule, band, situation)
            return quiet or Verdict(rule, situation, (_HARM[band.declared.indicator], position), band)
        if truth is None:
            undecided.append(band)
    if rule.estimates and situation.has_old_estimate(rule.estimates):
        situation = situation.with_fresh_values_only()
        undecided = [band for band in rule.bands if band.when.test(situation) is None]
    return _undecided(rule, undecided, situation) if undecided else Nothing(rule, situation)


def _undecided(rule: CompiledRule, undecided: list[CompiledBand], situation: Situation) -> Decided:
    """What is missing is asked for where the rule says so; the bands that would be quiet anyhow do not count."""
    unknown = [band for band in undecided if _quiet(rule, band, situation) is None]
    if not unknown:
        return _quiet(rule, undecided[0], situation) or Nothing(rule, situation)
    for position, entry in enumerate(rule.missing):
        if entry.when.test(situation) is True and any(band.declared.id in entry.bands for band in unknown):
            return Verdict(rule, situation, (_HARM[entry.declared.indicator], len(rule.bands) + position), entry)
    return Nothing(rule, situation, tuple(unknown))


def _quiet(rule: CompiledRule, band: CompiledBand, situation: Situation) -> Silence | None:
    """The reason for which the rule keeps quiet about this band."""
    for quiet in reasons(rule, band, situation, "silence"):
        code = quiet.code.replace("_", "-")
        return Silence(rule.id, code, f"{rule.declared.title}: {quiet.text}")
    return None


def reasons(rule: CompiledRule, band: CompiledBand, situation: Situation, instead: str) -> Iterator[SilentWhen]:
    """The rule's reasons to keep quiet, or to say it more quietly, that hold for this band."""
    for quiet in rule.quiet:
        declared = quiet.declared
        is_meant = declared.instead == instead and band.declared.id not in declared.except_bands
        if is_meant and quiet.when.test(situation) is True:
            yield declared


def _unless_answered(decided: Decided) -> Decided:
    """Silence for a band that is silence on purpose, and where what it asks for is ordered already."""
    if not isinstance(decided, Verdict):
        return decided
    title, says = decided.rule.declared.title, decided.says
    if isinstance(says, CompiledBand) and says.declared.indicator == "silent":
        return Silence(decided.rule.id, says.declared.id.replace("_", "-"), f"{title}: {says.declared.detail}")
    if is_answered(says.suggestions, decided.situation):
        return Silence(decided.rule.id, "already-ordered", f"{title}: the test it asks for is already ordered.")
    return decided
