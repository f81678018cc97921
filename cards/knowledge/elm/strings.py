"""Compiles what is done with texts (CQL Appendix B, section 7)."""

from typing import Any

from cards.knowledge.elm import patterns
from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.values import Value, plain

_LONGEST_TEXT = 100_000


def _limited(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise LimitExceeded(f"A text is longer than {_LONGEST_TEXT} characters.")
    return text


computes("Concatenate")(lambda *texts: _limited("".join(map(plain, texts))))
computes("Upper")(lambda text: plain(text).upper())
computes("Lower")(lambda text: plain(text).lower())
computes("StartsWith")(lambda text, start: plain(text).startswith(plain(start)))
computes("EndsWith")(lambda text, end: plain(text).endswith(plain(end)))


@builds("Matches", "ReplaceMatches")
def _matches(compiler: Compiler, node: ElmNode) -> Closure:
    operands = [compiler.build(operand) for operand in node["operand"]]
    _check_pattern(compiler, operands[1])
    replacing = node["type"] == "ReplaceMatches"

    def compute(frame: Frame) -> Value:
        values = [plain(operand(frame)) for operand in operands]
        if any(value is None for value in values):
            return None
        return _limited(patterns.replace(*values)) if replacing else patterns.matches(*values)

    return compute


def _check_pattern(compiler: Compiler, pattern: Closure) -> None:
    """Note what an artifact is refused for: a pattern that is no constant, or one that is not run."""
    if pattern not in compiler.constants:
        compiler.body.notes.append("A regular expression is not a constant; what it costs cannot be known.")
        return
    try:
        patterns.check(str(compiler.constants[pattern] or ""))
    except CqlError as error:
        compiler.body.notes.append(str(error))


@builds("Length")
def _length(compiler: Compiler, node: ElmNode) -> Closure:
    operand = compiler.build(node["operand"])
    of_list = (node["operand"].get("asTypeSpecifier") or {}).get("type") == "ListTypeSpecifier"

    def length(frame: Frame) -> Value:
        value = plain(operand(frame))
        return (0 if of_list else None) if value is None else len(value)

    return length


def _parts_of(compiler: Compiler, node: ElmNode, *names: str) -> list[Closure]:
    return [compiler.build(node.get(name)) for name in names]


@builds("Combine")
def _combine(compiler: Compiler, node: ElmNode) -> Closure:
    source, separator = _parts_of(compiler, node, "source", "separator")

    def combine(frame: Frame) -> Value:
        values, between = source(frame), plain(separator(frame)) or ""
        texts = [plain(value) for value in values or () if plain(value) is not None]
        return _limited(between.join(texts)) if texts else None

    return combine


@builds("Split", "SplitOnMatches")
def _split(compiler: Compiler, node: ElmNode) -> Closure:
    by_pattern = node["type"] == "SplitOnMatches"
    text, separator = _parts_of(compiler, node, "stringToSplit", "separatorPattern" if by_pattern else "separator")
    if by_pattern:
        _check_pattern(compiler, separator)

    def split(frame: Frame) -> Value:
        value, between = plain(text(frame)), plain(separator(frame))
        if value is None:
            return None
        if not between:
            return [value]
        return patterns.split(value, between) if by_pattern else value.split(between)

    return split


@builds("PositionOf", "LastPositionOf")
def _position(compiler: Compiler, node: ElmNode) -> Closure:
    pattern, text = _parts_of(compiler, node, "pattern", "string")
    last = node["type"] == "LastPositionOf"

    def position(frame: Frame) -> Value:
        wanted, value = plain(pattern(frame)), plain(text(frame))
        if wanted is None or value is None:
            return None
        return value.rfind(wanted) if last else value.find(wanted)

    return position


@builds("Substring")
def _substring(compiler: Compiler, node: ElmNode) -> Closure:
    text, start, length = _parts_of(compiler, node, "stringToSub", "startIndex", "length")

    def substring(frame: Frame) -> Value:
        value, first, count = plain(text(frame)), start(frame), length(frame)
        if value is None or first is None or not 0 <= first < max(len(value), 1):
            return None
        return value[first:] if count is None else value[first : first + max(0, count)]

    return substring


@computes("Indexer")
def _indexer(value: Any, index: int) -> Value:
    value = plain(value)
    if not isinstance(value, str | list):
        raise CqlError("Only a list or a text can be indexed.")
    return value[index] if 0 <= index < len(value) else None
