"""Compiles what is done with texts (CQL Appendix B, section 7)."""

from collections.abc import Callable
from typing import Final

from cards.knowledge.elm import patterns
from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.values import Value, plain

_LONGEST_TEXT = 100_000


def _limited(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise LimitExceeded(f"A text is longer than {_LONGEST_TEXT} characters.")
    return text


computes("Concatenate")(lambda *texts: _limited("".join(texts)))
computes("Upper")(str.upper)
computes("Lower")(str.lower)
computes("StartsWith")(str.startswith)
computes("EndsWith")(str.endswith)
computes("ToChars")(list)
computes("PositionOf", parts=("pattern", "string"))(lambda pattern, text: text.find(pattern))
computes("LastPositionOf", parts=("pattern", "string"))(lambda pattern, text: text.rfind(pattern))
computes("Split", parts=("stringToSplit", "separator?"))(
    lambda text, separator: text.split(separator) if separator else [text]
)


@computes("Combine", parts=("source", "separator?"))
def _combine(values: list[Value], separator: str | None) -> str | None:
    texts = [plain(value) for value in values if plain(value) is not None]
    return _limited((separator or "").join(texts)) if texts else None


@computes("Substring", parts=("stringToSub", "startIndex", "length?"))
def _substring(text: str, start: int, length: int | None) -> str | None:
    if not 0 <= start < max(len(text), 1):
        return None
    return text[start:] if length is None else text[start : start + max(0, length)]


@computes("Indexer")
def _indexer(value: Value, index: int) -> Value:
    if not isinstance(value, str | list):
        raise CqlError("Only a list or a text can be indexed.")
    return value[index] if 0 <= index < len(value) else None


@builds("Length")
def _length(compiler: Compiler, node: ElmNode) -> Closure:
    operand = compiler.build(node["operand"])
    of_nothing = 0 if (node["operand"].get("asTypeSpecifier") or {}).get("type") == "ListTypeSpecifier" else None
    return lambda frame: of_nothing if (value := plain(operand(frame))) is None else len(value)


_PATTERNS: Final[dict[str, Callable[..., Value]]] = {
    "Matches": patterns.matches,
    "ReplaceMatches": lambda *texts: _limited(patterns.replace(*texts)),
    "SplitOnMatches": patterns.split,
}


@builds(*_PATTERNS)
def _matches(compiler: Compiler, node: ElmNode) -> Closure:
    given = node.get("operand") or (node["stringToSplit"], node["separatorPattern"])
    operands, compute = [compiler.build(operand) for operand in given], _PATTERNS[node["type"]]
    _check_pattern(compiler, given[1])

    def match(frame: Frame) -> Value:
        values = [plain(operand(frame)) for operand in operands]
        return None if None in values else compute(*values)

    return match


def _check_pattern(compiler: Compiler, pattern: ElmNode) -> None:
    """Note what an artifact is refused for: a pattern that is no literal, or one that is not run."""
    if pattern.get("type") != "Literal":
        compiler.body.notes.append("A regular expression is not a constant; what it costs cannot be known.")
        return
    try:
        patterns.check(str(pattern.get("value", "")))
    except CqlError as error:
        compiler.body.notes.append(str(error))
