"""Describes what raises and what lowers an estimate: factor lines, ranges, and what is not known."""

from collections.abc import Callable, Sequence

from fhir.mapping.features.feature import Missing
from models_onnx.serving.explanation import FACTORS_SHOWN, marks

# Words by the number of marks; they always stand beside the signs (look/LOOK.md).
_WORDS = ("a little", "somewhat", "clearly", "a lot")


def strongest(contributions: Sequence[float]) -> list[int]:
    """The positions of the `FACTORS_SHOWN` contributions that move the estimate most, largest first."""
    sizes = [abs(contribution) for contribution in contributions]
    return sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)[:FACTORS_SHOWN]


def factor_lines(contributions: Sequence[float], describe: Callable[[int], str]) -> list[str]:
    """A Markdown list of two headings with at most five lines under them, and one line for all others together.

    `describe` gives the words of the input at a position. The lines' contributions and the rest add up to the whole
    difference to the reference group. The headings are items, too: a line after a list that is none would be read as
    the last item's continuation.
    """
    total = sum(map(abs, contributions))
    shown = strongest(contributions)
    raising = [position for position in shown if contributions[position] > 0]
    lowering = [position for position in shown if contributions[position] < 0]
    lines: list[str] = []
    for heading, some in (("**Raises the estimate**", raising), ("**Lowers it**", lowering)):
        if some:
            lines.append(f"- {heading}")
            lines += [f"  - {_marked(contributions[position], total)}: {describe(position)}" for position in some]
    if len(contributions) > len(shown):
        rest = sum(contributions) - sum(contributions[position] for position in shown)
        lines.append(f"- {len(contributions) - len(shown)} other inputs, together: {_marked(rest, total)}")
    return lines


def _marked(contribution: float, total: float) -> str:
    signs, words = strength(contribution, total)
    return f"{signs} {words}"


def strength(contribution: float, total: float) -> tuple[str, str]:
    """Signs and words for a contribution, by its share of `total`, the sum of all sizes: ('▲▲', 'raises clearly')."""
    filled, open_, verb = ("▲", "▵", "raises") if contribution > 0 else ("▼", "▿", "lowers")
    count = marks(contribution, total)
    return filled * count or open_, f"{verb} {_WORDS[count]}"


def in_100(probability: float) -> int:
    """A probability as people in 100, whole, never 0 or 100: an estimate is not a certainty."""
    return min(99, max(1, round(probability * 100)))


def not_known(missing: Sequence[Missing]) -> str:
    """One sentence that names every input without a usable value, or '' when all are there."""
    words = {"absent": "not recorded", "stale": "too old", "refused": "not usable", "unknown": "not known"}
    named = [f"{gap.feature.words} ({words[gap.reason]})" for gap in missing]
    return f"**Not known or old:** {', '.join(named)}; each counts as the group's average." if named else ""
