"""Compiles what is done with texts (CQL Appendix B, section 7)."""

from collections.abc import Callable, Sequence
from typing import Final

from cards.knowledge.elm import patterns
from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError
from cards.knowledge.elm.limits import check_length, spend
from cards.knowledge.elm.values import Value, plain


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
    texts = [plain(value) for value in values if plain(value) is not None]
    return _joined(texts, separator or "") if texts else None


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
    "ReplaceMatches": patterns.replace,
    "SplitOnMatches": lambda *texts: _counted(patterns.split(*texts)),
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
