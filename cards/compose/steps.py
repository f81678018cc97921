"""Merges the steps of a card: what a button, the headline and the details of several findings ask for, each once."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from cards.text import capitalized

NOT_GIVEN: Final = re.compile(
    r"(?:(?:Consider avoiding|Avoid) (?:it|the pair)|Consider holding (?:it|the dose)|Consider not adding [^.;,]+"
    r"|Do not (?:use|give|start)(?: it)?(?: under [\d.,]*\d)?)(?: if possible)?(?: \([^()]*\))?(?:\.$|[;,] (?:and )?)",
    re.IGNORECASE,
)
"""A step that says no more than that the drug is not given: beside the end of its order it says nothing new."""
_PART = re.compile(r"[;:,] | and ")
_WORD = re.compile(r"[a-z]+|\d[\d.,]*")
_FILLING = re.compile(
    r"(?:an?|the|of|its?|this|that|these|in|for|to|or|and|with|by|at|is|as|label|boxed|warning|first|drug|value|place|nsaids?)"
)
"""Words in which two steps that ask for the same may differ."""
_TO_GIVE = re.compile(r"add|change|choose|consider|give|prefer|replace|switch|use")
_OPPOSITE: Final = frozenset(
    {"avoid", "cancel", "continue", "hold", "interrupt", "keep", "never", "no", "not", "only", "remove", "stop"}
)
"""Words that turn a step into another one."""
_STEM: Final = 6


def without_repeated_steps(steps: Iterable[str]) -> list[str]:
    """Return the steps, without those and the first clauses that another step says in as many words or more.

    >>> without_repeated_steps(["Change to 7 mg/kg once daily.", "Give 7 mg/kg ONCE daily (label).", "Check levels."])
    ['Change to 7 mg/kg once daily.', 'Check levels.']
    >>> without_repeated_steps(["Repeat creatinine.", "Consider another drug.", "Repeat creatinine; ask nephrology."])
    ['Repeat creatinine.', 'Consider another drug.', 'Ask nephrology.']
    >>> without_repeated_steps(["Stop apixaban.", "Check magnesium.", "Give magnesium.", "Give apixaban."])
    ['Stop apixaban.', 'Check magnesium.', 'Give magnesium.', 'Give apixaban.']
    """
    kept: list[str] = []
    for step in filter(None, steps):
        clause, _, rest = step.partition("; ")
        is_whole = rest and not rest.startswith(_ALTERNATIVES)
        new = capitalized(rest) if is_whole and _is_said(clause, kept) else step
        if not _is_said(new, kept):
            kept = [*kept[:1], *(before for before in kept[1:] if not _is_said(before, [new])), new]
    return kept


_ALTERNATIVES: Final = ("else ", "or ", "otherwise ")


def _is_said(step: str, others: Sequence[str]) -> bool:
    wanted = _content(step)
    parts = [_content(part) for other in others for part in (other, *_PART.split(other))]
    return any(
        set(wanted) <= set(content)
        and (len(wanted) > 1 or wanted == content[:1])
        and _OPPOSITE.intersection(wanted) == _OPPOSITE.intersection(content)
        for content in parts
    )


def _content(step: str) -> list[str]:
    words = (word.rstrip(".,") for word in _WORD.findall(step.casefold()))
    return [_stem(word) for word in words if not _FILLING.fullmatch(word)]


def _stem(word: str) -> str:
    return "give" if _TO_GIVE.fullmatch(word) else word if word in _OPPOSITE else word[:_STEM]
