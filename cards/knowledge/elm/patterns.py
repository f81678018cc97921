"""Admits the regular expressions that cost no more than a known number of steps, and runs them.

Python's matcher goes back over what it has read; `(a+)+$` on thirty letters takes minutes. Admitted are patterns
without look-around and back-references whose repeated groups hold neither a repetition nor a choice; what is left costs
at most (length of the text) ** (number of repetitions) steps.
"""

import re
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.limits import check_length, spend
from fhir.terminology.caching import remembered

_LONGEST_PATTERN = 200
_MOST_STEPS = 1_000_000
_STEPS_OF_MATCHER = 10_000
"""So many steps of the matcher count as one of the evaluation."""
_parsed = import_module("re._parser").parse  # Python's own reading of a pattern, which `re` does not export
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_REFUSED = {
    "ASSERT": "looks ahead or behind",
    "ASSERT_NOT": "looks ahead or behind",
    "GROUPREF": "refers back to a group",
    "GROUPREF_EXISTS": "refers back to a group",
}


@remembered("regular expressions of libraries", entries=256, longest=_LONGEST_PATTERN)
def _admitted(pattern: str) -> tuple[re.Pattern[str], int]:
    """Return the compiled pattern and how many repetitions without a fixed count it has.

    Raises:
        CqlError: it is not a regular expression, or not one that is admitted.
    """
    if len(pattern) > _LONGEST_PATTERN:
        raise CqlError(f"A regular expression is longer than {_LONGEST_PATTERN} characters.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(pattern, re.DOTALL), _repetitions(_parsed(pattern))[0]
    except (re.error, OverflowError, RecursionError) as error:
        raise CqlError("A pattern is not a regular expression.") from error


def _repetitions(tree: Iterable[tuple[Any, Any]]) -> tuple[int, int]:
    """Return how many repetitions a part of a pattern has, and how many choices: alternatives, and what is optional."""
    repetitions = choices = 0
    for kind, argument in tree:
        name = str(kind)
        if name in _REFUSED:
            raise CqlError(f"A regular expression {_REFUSED[name]}; such patterns are not run.")
        parts = argument if isinstance(argument, tuple | list) else [argument]
        options = parts[1] if name == "BRANCH" else [part for part in parts if hasattr(part, "getwidth")]
        inside = [_repetitions(option) for option in options]
        repetitions += sum(repeated for repeated, _ in inside)
        choices += sum(chosen for _, chosen in inside) + (name == "BRANCH")
        if name in _REPEATS:
            least, most = argument[:2]
            if most != 1 and any(map(any, inside)):
                raise CqlError(
                    "A regular expression repeats a group that repeats or chooses; such patterns are not run."
                )
            repetitions += least != most and most != 1
            choices += most == 1
    return repetitions, choices


def check(pattern: str) -> None:
    """Raise CqlError where a pattern is not one that is run."""
    _admitted(pattern)


def _ready(pattern: str, text: str, extra: int) -> re.Pattern[str]:
    compiled, repetitions = _admitted(pattern)
    steps = float(max(len(text), 2)) ** (repetitions + extra)
    if repetitions + extra > 1 and steps > _MOST_STEPS:
        raise LimitExceeded("A regular expression could take more steps on this text than an evaluation may.")
    spend(int(steps) // _STEPS_OF_MATCHER)
    return compiled


def matches(text: str, pattern: str) -> bool:
    """Return whether the whole text matches."""
    return _ready(pattern, text, 0).fullmatch(text) is not None


def split(text: str, pattern: str) -> list[str]:
    """Return what stands between the matches."""
    compiled = _ready(pattern, text, 1)
    parts, position = [], 0
    for match in compiled.finditer(text):
        if match.end() > match.start():
            parts.append(text[position : match.start()])
            position = match.end()
    return [*parts, text[position:]]


def replace(text: str, pattern: str, substitution: str) -> str:
    """Return the text with each match replaced; `$1` is a group, `\\$` a dollar sign."""
    compiled = _ready(pattern, text, 1)
    pieces, written, position = re.split(r"(\\.|\$\d)", substitution), list[str](), 0
    length = len(text)
    for match in compiled.finditer(text):
        written.append(text[position : match.start()])
        for piece in pieces:
            written.append(_piece(piece, match))
            length += len(written[-1])
            check_length(length)
        position = match.end()
    return "".join([*written, text[position:]])


def _piece(piece: str, match: re.Match[str]) -> str:
    if len(piece) == 2 and piece[0] == "\\":
        return piece[1]
    if len(piece) == 2 and piece[0] == "$" and piece[1].isdigit():
        if int(piece[1]) > match.re.groups:
            raise CqlError("A replacement names a group that the regular expression does not have.")
        return match[int(piece[1])] or ""
    return piece
