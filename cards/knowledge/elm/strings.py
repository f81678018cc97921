"""Compiles what is done with texts (CQL Appendix B, section 7), within limits.

Python's matcher goes back over what it has read; `(a+)+$` on thirty letters takes minutes. Admitted are patterns
without look-around and back-references whose repeated groups hold neither a repetition nor a choice; what is left costs
at most (length of the text) ** (number of repetitions) steps.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, Final

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.limits import check_length, spend
from cards.knowledge.elm.values import Value, plain
from fhir.terminology.caching import remembered


def _joined(texts: Sequence[str], separator: str = "") -> str:
    check_length(sum(map(len, texts)) + len(separator) * (len(texts) - 1))
    return separator.join(texts)


def _counted(texts: list[str]) -> list[str]:
    spend(len(texts) // 16)
    return texts


computes("Concatenate")(lambda *texts: _joined(texts))
computes("Upper")(str.upper)
computes("Lower")(str.lower)
computes("StartsWith")(str.startswith)
computes("EndsWith")(str.endswith)
computes("ToChars")(lambda text: _counted(list(text)))
computes("PositionOf", parts=("pattern", "string"))(lambda pattern, text: text.find(pattern))
computes("LastPositionOf", parts=("pattern", "string"))(lambda pattern, text: text.rfind(pattern))
computes("Split", parts=("stringToSplit", "separator?"))(
    lambda text, separator: _counted(text.split(separator)) if separator else [text]
)


@computes("Combine", parts=("source", "separator?"))
def _combine(values: list[Value], separator: str | None) -> str | None:
    texts = [text for text in map(plain, values) if text is not None]
    return _joined(texts, separator or "") if texts else None


@computes("Substring", parts=("stringToSub", "startIndex", "length?"))
def _substring(text: str, start: int, length: int | None) -> str | None:
    if not 0 <= start < max(len(text), 1):
        return None
    return text[start:] if length is None else text[start : start + max(0, length)]


@builds("Length")
def _length(body: Body, node: ElmNode) -> Closure:
    operand = body.build(node["operand"])
    of_nothing = 0 if (node["operand"].get("asTypeSpecifier") or {}).get("type") == "ListTypeSpecifier" else None
    return lambda frame: of_nothing if (value := plain(operand(frame))) is None else len(value)


# Regular expressions

_LONGEST_PATTERN: Final = 200
_MOST_STEPS: Final = 1_000_000
_STEPS_OF_MATCHER: Final = 10_000
"""So many steps of the matcher count as one of the evaluation."""
_parsed = import_module("re._parser").parse  # Python's own reading of a pattern, which `re` does not export
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_REFUSED: Final = frozenset({"ASSERT", "ASSERT_NOT", "GROUPREF", "GROUPREF_EXISTS"})


@remembered("regular expressions of libraries", entries=256, longest=_LONGEST_PATTERN)
def _admitted(pattern: str) -> tuple[re.Pattern[str], int]:
    """Return the compiled pattern and how many repetitions without a fixed count it has; CqlError if it is not run."""
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
            raise CqlError("A regular expression looks around or refers back to a group; such patterns are not run.")
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


def _ready(pattern: str, text: str, extra: int) -> re.Pattern[str]:
    compiled, repetitions = _admitted(pattern)
    steps = float(max(len(text), 2)) ** (repetitions + extra)
    if repetitions + extra > 1 and steps > _MOST_STEPS:
        raise LimitExceeded("A regular expression could take more steps on this text than an evaluation may.")
    spend(int(steps) // _STEPS_OF_MATCHER)
    return compiled


def _split(text: str, pattern: str) -> list[str]:
    matches = [match for match in _ready(pattern, text, 1).finditer(text) if match[0]]
    borders = [0, *(border for match in matches for border in match.span()), len(text)]
    return _counted([text[first:last] for first, last in zip(borders[::2], borders[1::2], strict=True)])


def _replace(text: str, pattern: str, substitution: str) -> str:
    """Return the text with each match replaced; `$1` is a group, `\\$` a dollar sign."""
    pieces = re.split(r"\\(.)|\$(\d)", substitution)  # text, escaped sign, group, text, …
    written, position, length = list[str](), 0, len(text)
    for match in _ready(pattern, text, 1).finditer(text):
        written.append(text[position : match.start()])
        for index, piece in enumerate(pieces):
            if index % 3 == 2 and piece is not None and int(piece) > match.re.groups:
                raise CqlError("A replacement names a group that the regular expression does not have.")
            written.append((match[int(piece)] if index % 3 == 2 and piece is not None else piece) or "")
            length += len(written[-1])
            check_length(length)
        position = match.end()
    return "".join([*written, text[position:]])


_PATTERNS: Final[dict[str, Callable[..., Value]]] = {
    "Matches": lambda text, pattern: _ready(pattern, text, 0).fullmatch(text) is not None,
    "ReplaceMatches": _replace,
    "SplitOnMatches": _split,
}


@builds(*_PATTERNS)
def _matches(body: Body, node: ElmNode) -> Closure:
    """Run a pattern; an artifact is refused for one that is not a literal, or one that is not admitted."""
    given = node.get("operand") or (node["stringToSplit"], node["separatorPattern"])
    operands, compute = [body.build(operand) for operand in given], _PATTERNS[node["type"]]
    if given[1].get("type") != "Literal":
        body.notes.append("A regular expression is not a constant; what it costs cannot be known.")
    else:
        try:
            _admitted(str(given[1].get("value", "")))
        except CqlError as error:
            body.notes.append(str(error))

    def match(frame: Frame) -> Value:
        values = [plain(operand(frame)) for operand in operands]
        return None if None in values else compute(*values)

    return match
