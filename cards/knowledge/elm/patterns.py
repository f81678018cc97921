"""Admits the regular expressions that cost no more than a known number of steps, and runs them.

Python's matcher goes back over what it has read; `(a+)+$` on thirty letters takes minutes. Admitted are patterns
without look-around and back-references whose repeated groups hold neither a repetition nor alternatives; what is
left costs at most (length of the text) ** (number of repetitions) steps.
"""

import re
import warnings

from cards.knowledge.elm.errors import CqlError, LimitExceeded
from fhir.terminology.caching import remembered

_LONGEST_PATTERN = 200
_MOST_STEPS = 1_000_000
_COUNTS = re.compile(r"\{(\d*)(,?)(\d*)\}")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


@remembered("regular expressions of libraries", entries=256, longest=_LONGEST_PATTERN)
def _admitted(pattern: str) -> tuple[re.Pattern[str], int]:
    """Return the compiled pattern and how many repetitions without a fixed count it has.

    Raises:
        CqlError: it is not a regular expression, or not one that is admitted.
    """
    if len(pattern) > _LONGEST_PATTERN:
        raise CqlError(f"A regular expression is longer than {_LONGEST_PATTERN} characters.")
    repetitions = _repetitions(pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(pattern, re.DOTALL), repetitions
    except (re.error, OverflowError, RecursionError) as error:
        raise CqlError("A pattern is not a regular expression.") from error


def _repetitions(pattern: str) -> int:
    total, position = 0, 0
    groups: list[list[int]] = [[0, 0]]  # of each open group: repetitions, alternatives
    last: list[int] = [0, 0]
    while position < len(pattern):
        sign = pattern[position]
        skipped = (_ESCAPE if sign == "\\" else _CLASS).match(pattern, position) if sign in "\\[" else None
        if skipped is not None:
            if sign == "\\" and skipped[0][1:2].isdigit() and skipped[0][1] != "0":
                raise CqlError("A regular expression refers back to a group; such patterns are not run.")
            last, position = [0, 0], skipped.end()
            continue
        if sign == "(":
            if pattern.startswith("(?", position) and not pattern.startswith(("(?:", "(?P<", "(?i)"), position):
                raise CqlError("A regular expression looks ahead or behind; such patterns are not run.")
            groups.append([0, 0])
        elif sign == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1][0] += last[0]
            position += 1
            continue
        elif sign == "|":
            groups[-1][1] += 1
        count, width = _repetition(pattern, position)
        if count is not None:
            if count != 1 and (last[0] or last[1]):
                raise CqlError(
                    "A regular expression repeats a group that repeats or chooses; such patterns are not run."
                )
            if count == 0:
                groups[-1][0] += 1
                total += 1
            position += width
            continue
        if sign not in "()":
            last = [0, 0]
        position += 1
    return total


def _repetition(pattern: str, position: int) -> tuple[int | None, int]:
    """Return 0 for a repetition of varying count, the count of a fixed one, 1 for `?`; None where there is none."""
    sign = pattern[position]
    if sign in "*+":
        return 0, 1
    if sign == "?":
        return 1, 1
    counts = _COUNTS.match(pattern, position) if sign == "{" else None
    if counts is None:
        return None, 0
    fixed = not counts[2] and counts[1]
    return (max(2, min(int(counts[1][:6]), 10_000)) if fixed else 0), len(counts[0])


def check(pattern: str) -> None:
    """Raise CqlError where a pattern is not one that is run."""
    _admitted(pattern)


def _ready(pattern: str, text: str, extra: int) -> re.Pattern[str]:
    compiled, repetitions = _admitted(pattern)
    if (repetitions + extra > 1) and float(max(len(text), 2)) ** (repetitions + extra) > _MOST_STEPS:
        raise LimitExceeded("A regular expression could take more steps on this text than an evaluation may.")
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
    pieces = re.split(r"(\\.|\$\d)", substitution)

    def substitute(match: re.Match[str]) -> str:
        return "".join(_piece(piece, match) for piece in pieces)

    return compiled.sub(substitute, text)


def _piece(piece: str, match: re.Match[str]) -> str:
    if len(piece) == 2 and piece[0] == "\\":
        return piece[1]
    if len(piece) == 2 and piece[0] == "$" and piece[1].isdigit():
        if int(piece[1]) > match.re.groups:
            raise CqlError("A replacement names a group that the regular expression does not have.")
        return match[int(piece[1])] or ""
    return piece
