"""Every regular expression of the product, and texts that make a bad one slow.

Run as a program, it imports every module that a server, the kit or a command loads, answers the sample calls meanwhile,
and prints the patterns that were compiled or declared.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_PARSER: Final = importlib.import_module("re._parser")
_LEFT_OUT: Final = ("models_onnx.workbench",)
"""The workbench reads files of its own user only and takes seconds to import."""
_MOST: Final = 3
"""Repetitions of an element that a witness holds where the pattern asks for a number of them."""


def product_patterns() -> list[tuple[str, str, int, tuple[str, ...]]]:
    """Place, pattern, flags and methods of every expression; those of bytes are given as text."""
    command = [sys.executable, "-m", "tests.hardening.patterns"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [(place, pattern, flags, tuple(methods)) for place, pattern, flags, methods in json.loads(output)]


def hostile_texts(pattern: str, flags: int) -> Iterator[tuple[str, str]]:
    """A beginning and what is repeated after it: what the pattern repeats, and what leads to a repetition."""
    pumps = dict.fromkeys([("", " "), ("", "a"), ("", "0"), ("", "a "), ("", "0 ")])
    for before, body in _repetitions(_PARSER.parse(pattern, flags)):
        for pump in (("", body), (before, body), ("", before + body), ("", before), (before, f"{body} ")):
            pumps.setdefault(pump)
    yield from (pump for pump in pumps if pump[1])


def _repetitions(parsed: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """The text that leads to each repetition of a parsed pattern, and a text that it repeats."""
    for operation, argument in parsed:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = argument
            yield from _repetitions(inner, before)
            if most > _MOST:
                yield before, _witness(inner) or "a"
                yield from ((before, _witness([part])) for part in inner if most > least)
        else:
            for inner in _inner(name, argument):
                yield from _repetitions(inner, before)
        before += _witness([(operation, argument)])


def _inner(name: str, argument: Any) -> list[Any]:
    if name == "SUBPATTERN":
        return [argument[-1]]
    if name == "BRANCH":
        return list(argument[1])
    if name in ("ASSERT", "ASSERT_NOT"):
        return [argument[1]]
    return [argument] if name == "ATOMIC_GROUP" else []


def _witness(parsed: Any) -> str:
    """A short text that the parsed pattern matches, assertions aside."""
    text = ""
    for operation, argument in parsed:
        name = str(operation)
        if name == "LITERAL":
            text += chr(argument)
        elif name in ("NOT_LITERAL", "ANY"):
            text += "b" if argument == ord("a") else "a"
        elif name == "IN":
            text += _member(argument)
        elif name.endswith("_REPEAT"):
            text += _witness(argument[2]) * min(max(argument[0], 1), 100)
        elif name == "BRANCH":
            text += _witness(argument[1][0])
        elif name not in ("ASSERT", "ASSERT_NOT"):
            text += "".join(_witness(inner) for inner in _inner(name, argument))
    return text


def _member(members: Any) -> str:
    """A sign of a set, the blank before others: two repetitions that share a sign mostly share that one."""
    is_negated = str(members[0][0]) == "NEGATE"
    for sign in " a0-./,;:xA(*":
        if any(_is_in(ord(sign), member) for member in members) is not is_negated:
            return sign
    operation, argument = members[0]
    if str(operation) == "RANGE":
        return chr(argument[0])
    return chr(argument) if str(operation) == "LITERAL" else "~"


def _is_in(sign: int, member: tuple[Any, Any]) -> bool:
    name, argument = str(member[0]), member[1]
    if name == "LITERAL":
        return bool(sign == argument)
    if name == "RANGE":
        return bool(argument[0] <= sign <= argument[1])
    if name == "CATEGORY":
        category = str(argument).removeprefix("CATEGORY_").removeprefix("UNI_")
        texts = {
            "DIGIT": r"\d",
            "SPACE": r"\s",
            "WORD": r"\w",
            "NOT_DIGIT": r"\D",
            "NOT_SPACE": r"\S",
            "NOT_WORD": r"\W",
        }
        return re.match(texts[category], chr(sign)) is not None
    return False


_PACKAGES: Final = (
    "fhir.client",
    "fhir.mapping",
    "fhir.record",
    "fhir.terminology",
    "models_onnx",
    "cards",
    "cds_hooks",
)
_FOLDERS: Final = frozenset(package.split(".", 1)[0] for package in _PACKAGES)
_CALLS: Final = frozenset(
    {f"re.{name}" for name in ("search", "fullmatch", "match", "sub", "split", "findall", "finditer")}
)
_METHODS: Final = ("search", "fullmatch", "match")


class Expressions:
    """Notes every expression that a module of the product compiles, or declares to be compiled later."""

    def __init__(self) -> None:
        self.noted: dict[tuple[str, str, int], tuple[str, ...]] = {}

    def note(self, pattern: Any, flags: Any) -> None:
        """Note it with the module that asks for it, and with the methods by which that module uses it."""
        frame: FrameType = sys._getframe(2)  # noqa: SLF001 - inspect.stack reads sources and so compiles patterns itself
        while frame.f_back is not None and frame.f_code.co_filename.endswith(("re/__init__.py", "late_pattern.py")):
            frame = frame.f_back
        place = Path(frame.f_code.co_filename)
        if (
            isinstance(pattern, str | bytes)
            and place.is_relative_to(ROOT)
            and place.relative_to(ROOT).parts[0] in _FOLDERS
        ):
            text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
            key = (f"{place.relative_to(ROOT)}:{frame.f_lineno}", text, int(flags))
            self.noted[key] = _methods(place.read_text().splitlines(), frame.f_lineno)

    def note_literals(self, file: Path) -> None:
        """Note those that a function of the module has in its calls, which are compiled when it is called."""
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in _CALLS and node.args:
                pattern = node.args[0]
                if isinstance(pattern, ast.Constant) and isinstance(pattern.value, str):
                    ignores_case = any(word in ast.unparse(node) for word in ("IGNORECASE", "re.I"))
                    flags = int(re.IGNORECASE) if ignores_case else 0
                    method = (name,) if (name := ast.unparse(node.func).removeprefix("re.")) in _METHODS else _METHODS
                    self.noted.setdefault((f"{file.relative_to(ROOT)}:{node.lineno}", pattern.value, flags), method)


def _methods(lines: list[str], number: int) -> tuple[str, ...]:
    """The methods by which the module uses the expression that is assigned there; all where that cannot be seen."""
    assigned = re.match(r"(_[A-Z_]+)\b", lines[number - 1])
    uses = re.findall(rf"\b{assigned[1]}\b(?!:| =)(?:\.(\w+))?", "\n".join(lines)) if assigned else []
    return tuple(dict.fromkeys(uses)) if uses and set(uses) <= set(_METHODS) else _METHODS


def _print_expressions() -> None:
    expressions = Expressions()
    compiled = vars(re)["_compile"]

    def noting(pattern: Any, flags: Any) -> Any:
        expressions.note(pattern, flags)
        return compiled(pattern, flags)

    vars(re)["_compile"] = noting
    late = importlib.import_module("fhir.terminology.late_pattern").LatePattern
    make = late.__init__

    def noting_late(self: Any, pattern: str, flags: int) -> None:
        expressions.note(pattern, flags)
        make(self, pattern, flags)

    late.__init__ = noting_late
    for package in _PACKAGES:
        module = importlib.import_module(package)
        for inner in pkgutil.walk_packages(module.__path__, f"{package}."):
            if inner.name.startswith(_LEFT_OUT) or inner.name.endswith("__main__"):
                continue
            file = Path(str(importlib.import_module(inner.name).__file__))
            if file.suffix == ".py":  # one module is of C
                expressions.note_literals(file)
    print(json.dumps([[*key, methods] for key, methods in expressions.noted.items()]))


if __name__ == "__main__":
    _print_expressions()
