"""Small faults of a file: each a text that differs in one point, as a slip of a hand would make it.

Code: a comparison, a number, a condition turned round or dropped, a result; rules and JSON tables: a number a quarter
more, a letter, a sign; CSV tables: a cell or a row; templates: a condition, a value, an address, a filter.
"""

import ast
import csv
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """A changed text of a file, and what was changed."""

    path: str
    words: str
    text: str
    line: int = 0
    """Of code and templates."""


def faults_of(path: str, text: str, chance: random.Random) -> Iterator[Fault]:
    """Yield faults of a file, in an order of chance, each a text that differs in one point."""
    make = {".py": _python, ".json": _json, ".csv": _csv}.get(Path(path).suffix, _template)
    changes = list(make(text))
    chance.shuffle(changes)
    for words, changed, line in changes:
        if (result := changed()) != text:
            yield Fault(path, words, result, line)


_OF_MEMORY = frozenset({"gc", "slots", "weakref"})
"""Flags of a class that change nothing but its memory."""
Change = tuple[str, Callable[[], str], int]
_COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "in": "not in"}
_ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}


def _python(text: str) -> Iterator[Change]:
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    raw = text.encode()

    def at(node: ast.AST) -> tuple[int, int]:
        located: Any = node
        return starts[located.lineno - 1] + located.col_offset, starts[located.end_lineno - 1] + located.end_col_offset

    def changed(start: int, end: int, new: str) -> Change:
        old, line = raw[start:end].decode(), raw.count(b"\n", 0, start) + 1
        return f"{old[:60]} → {new[:60]}", lambda: (raw[:start] + new.encode() + raw[end:]).decode(), line

    tree = ast.parse(text)
    of_memory = {word.value for word in ast.walk(tree) if isinstance(word, ast.keyword) and word.arg in _OF_MEMORY}
    for node in ast.walk(tree):
        if node in of_memory:
            continue
        if isinstance(node, ast.Compare):
            start, end = at(node.left)[1], at(node.comparators[0])[0]
            between = raw[start:end].decode()
            word = between.strip(" ()\n")
            if word in _COMPARISONS:
                yield changed(start, end, between.replace(word, _COMPARISONS[word]))
        elif isinstance(node, ast.BoolOp):
            start, end = at(node.values[0])[1], at(node.values[1])[0]
            between = raw[start:end].decode()
            other = between.replace("and", "or") if isinstance(node.op, ast.And) else between.replace("or", "and")
            yield changed(start, end, other)
            first, last = at(node)
            yield changed(first, last, (re.split(r"\b(?:and|or)\b", between)[-1] + raw[end:last].decode()).strip())
            start, end = at(node.values[-2])[1], at(node.values[-1])[0]
            closing = re.split(r"\b(?:and|or)\b", raw[start:end].decode())[0]
            yield changed(first, last, (raw[first:start].decode() + closing).strip())
        elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_text(node):
            start, end = at(node.left)[1], at(node.right)[0]
            between = raw[start:end].decode()  # with the parentheses of its sides
            yield changed(start, end, re.sub(r"[*/+-]", _ARITHMETIC[type(node.op)], between, count=1))
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield changed(*at(node), str(not node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float) and raw[slice(*at(node))].isascii():
            yield changed(*at(node), repr(node.value * 1.25 if node.value > 4 else node.value + 1))
        elif isinstance(node, ast.If | ast.IfExp | ast.comprehension):
            for test in node.ifs if isinstance(node, ast.comprehension) else [node.test]:
                if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
                    continue  # only where names come from
                start, end = at(test)
                yield changed(start, end, f"(not ({raw[start:end].decode()}))")
                if isinstance(node, ast.comprehension):
                    yield changed(start, end, "True")  # the filter is dropped
        elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
            yield changed(*at(node.value), "None")


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr | ast.Constant) and not isinstance(getattr(side, "value", 0), (int, float))
        for side in (node.left, node.right)
    )


def _json(text: str) -> Iterator[Change]:
    whole = json.loads(text)

    def walk(value: Any, way: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
        if isinstance(value, dict | list) and value:
            members = value.items() if isinstance(value, dict) else enumerate(value)
            for name, member in list(members):
                yield from walk(member, (*way, name))
        else:
            yield way, value

    def put(way: tuple[Any, ...], new: Any, renamed: str | None = None) -> str:
        copy = json.loads(text)
        owner = copy
        for step in way[:-1]:
            owner = owner[step]
        if renamed is not None:
            owner[renamed] = owner.pop(way[-1])
        else:
            owner[way[-1]] = new
        return json.dumps(copy, indent=1, ensure_ascii=False) + "\n"

    for way, value in walk(whole, ()):
        name = ".".join(map(str, way))
        new = _other(value)
        yield f"{name}: {str(value)[:50]} → {str(new)[:50]}", (lambda way=way, new=new: put(way, new)), 0  # type: ignore[misc]
        swapped = {"lt": "le", "le": "lt", "gt": "ge", "ge": "gt"}.get(str(way[-1]) if way else "")
        if swapped:
            yield f"{name} → {swapped}", (lambda way=way, swapped=swapped: put(way, None, swapped)), 0  # type: ignore[misc]


def _other(value: Any) -> Any:
    """Another value of the same type: a number a quarter more, a word with one letter or digit changed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 1.25 if value else 1
    if isinstance(value, str) and value:
        try:
            return f"{float(value) * 1.25:g}" if float(value) and len(value) < 6 else f"{value}1"
        except ValueError:
            middle = len(value) // 2
            return value[:middle] + ("x" if value[middle] != "x" else "y") + value[middle + 1 :]
    return "x"


def _csv(text: str) -> Iterator[Change]:
    rows = list(csv.reader(io.StringIO(text)))
    picked = random.Random(len(text))

    def written(number: int, column: int | None) -> str:
        copy = [list(row) for row in rows]
        if column is None:
            del copy[number]
        else:
            copy[number][column] = _other(copy[number][column])
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(copy)
        return out.getvalue()

    for number in range(1, len(rows)):
        for column in range(len(rows[number])):
            if rows[number][column]:
                words = f"row {number} ({rows[number][0]}), {rows[0][column]}: {rows[number][column][:40]} → other"
                yield words, (lambda number=number, column=column: written(number, column)), 0  # type: ignore[misc]
        if picked.random() < 0.2:
            yield f"row {number} ({rows[number][0]}) left out", (lambda number=number: written(number, None)), 0  # type: ignore[misc]


def _template(text: str) -> Iterator[Change]:
    def change(match: re.Match[str], new: str) -> Change:
        line = text.count("\n", 0, match.start()) + 1
        return (
            f"{match[0][:60]} → {new[:60]}",
            lambda: text[: match.start()] + new + text[match.end() :],
            line,
        )

    for match in re.finditer(r"(\{%-?\s*(?:el)?if )([^%]+?)( -?%\})", text):
        yield change(match, f"{match[1]}not ({match[2]}){match[3]}")
    for match in re.finditer(r" if ([^%}{]+?) else ", text):
        yield change(match, f" if not ({match[1]}) else ")
    for match in re.finditer(r"\{\{ ?([^}]+?) ?\}\}", text):
        yield change(match, "")
    for match in re.finditer(r'(href|action|name|method|value)="([^"]+)"', text):
        yield change(match, f'{match[1]}="x{match[2]}"')
    for match in re.finditer(r"\| ?[a-z_]+(?=[ }|])", text):
        yield change(match, "")
