"""From a prediction and its inputs to the words of a model card: factor lines, ranges, what is not known."""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir.mapping.feature import FeatureValue, Missing

# responsible-ai.md 7.4: marks by share of the sum of all sizes. Words always beside the sign (LOOK: a shape and a word).
_STRENGTHS = ((0.30, 3, "a lot"), (0.15, 2, "clearly"), (0.05, 1, "somewhat"))
_WEAK = "a little"
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Factor:
    """One input with what it adds to the estimate on the model's additive scale."""

    found: FeatureValue
    contribution: float
    spoken_value: str


def strongest(factors: Sequence[Factor]) -> list[Factor]:
    """The `SHOWN` factors that move the estimate most, largest first."""
    return sorted(factors, key=lambda factor: -abs(factor.contribution))[:SHOWN]


def factor_lines(factors: Sequence[Factor]) -> list[str]:
    """At most five lines under two headings, and one line for all others together; Markdown.

    The lines' contributions and the rest add up to the whole difference to the reference group.
    """
    total = sum(abs(factor.contribution) for factor in factors)
    shown = strongest(factors)
    lines: list[str] = []
    for heading, sign in (("**Raises the estimate**", 1), ("**Lowers it**", -1)):
        some = [factor for factor in shown if factor.contribution * sign > 0]
        if some:
            lines += [heading, *(_line(factor, total) for factor in some)]
    rest = sum(factor.contribution for factor in factors) - sum(factor.contribution for factor in shown)
    if len(factors) > len(shown):
        lines.append(f"- {len(factors) - len(shown)} other inputs, together: {_marked(rest, total)}")
    return lines


def _line(factor: Factor, total: float) -> str:
    found = factor.found
    return f"- {_marked(factor.contribution, total)}: {found.feature.words} **{factor.spoken_value}** ({found.effective[:10]})"


def _marked(contribution: float, total: float) -> str:
    share = abs(contribution) / total if total else 0.0
    sign, verb = ("▲", "raises") if contribution > 0 else ("▼", "lowers")
    for least, count, words in _STRENGTHS:
        if share >= least:
            return f"{sign * count} {verb} {words}"
    return f"{'▵' if contribution > 0 else '▿'} {verb} {_WEAK}"


def in_100(probability: float) -> int:
    """A probability as people in 100, whole, never 0 or 100: an estimate is not a certainty."""
    return min(99, max(1, round(probability * 100)))


def not_known(missing: Sequence[Missing]) -> str:
    """One sentence that names every input without a usable value, or '' when all are there."""
    words = {"absent": "not recorded", "stale": "too old", "refused": "not usable", "unknown": "not known"}
    named = [f"{gap.feature.words} ({words[gap.reason]})" for gap in missing]
    return f"**Not known or old:** {', '.join(named)}; each counts as the group's average." if named else ""
