"""Words that combine conditions: all, any, not, counts, always and never."""

from collections.abc import Callable, Iterable
from typing import Any

from cards.rules.conditions.condition import (
    Condition,
    Operator,
    Predicate,
    Spec,
    all_of,
    any_of,
    at_least,
    less_than,
    members,
    none_of,
    only,
)
from cards.rules.language.rule import RuleError

_ONE = {"$ref": "#/$defs/predicate"}
_LIST = {"type": "array", "items": _ONE, "minItems": 1}
_COUNT = members(("n", "of"), n={"type": "integer", "minimum": 1}, of=_LIST)

Compile = Callable[[Any], Predicate]
Say = Callable[[Any], str]


def _parts(specs: Any, compile_one: Compile) -> tuple[Predicate, ...]:
    if not isinstance(specs, list) or not specs:
        raise RuleError(f"{specs!r} is no list of conditions")
    return tuple(compile_one(spec) for spec in specs)


def _joined(specs: Iterable[Any], say: Say, joint: str) -> str:
    phrases = [say(spec) for spec in specs]
    return joint.join(f"({phrase})" if " or " in phrase and joint != " or " else phrase for phrase in phrases)


def _list(word: str, combine: Callable[[tuple[Predicate, ...]], Predicate], meaning: str, joint: str) -> Operator:
    return Operator(
        word,
        meaning,
        lambda spec, compile_one: combine(_parts(only(spec, word)[word], compile_one)),
        _LIST,
        lambda spec, say: _joined(spec[word], say, joint),
    )


_ALL = _list("all", all_of, "all of these conditions are true; false as soon as one is false", ", and ")
_ANY = _list("any", any_of, "at least one of these conditions is true", " or ")
_NOT = Operator(
    "not",
    "this condition is false; unknown stays unknown",
    lambda spec, compile_one: none_of(compile_one(only(spec, "not")["not"])),
    _ONE,
    lambda spec, say: f"not ({say(spec['not'])})",
)


def _count(
    word: str, combine: Callable[[int, tuple[Predicate, ...]], Predicate], meaning: str, phrase: str
) -> Operator:
    def read(spec: Spec, compile_one: Compile) -> Predicate:
        counted = only(only(spec, word)[word], "n", "of")
        return combine(int(counted["n"]), _parts(counted["of"], compile_one))

    def wording(spec: Spec, say: Say) -> str:
        return f"{phrase} {spec[word]['n']} of ({_joined(spec[word]['of'], say, '; ')})"

    return Operator(word, meaning, read, _COUNT, wording)


_COUNT_AT_LEAST = _count(
    "count_at_least",
    at_least,
    '`{"n": 2, "of": [...]}`: at least so many are true; unknown only if the unknown ones could change it',
    "at least",
)
_COUNT_LESS_THAN = _count(
    "count_less_than", less_than, "fewer than `n` of these conditions are true; unknown in the same way", "fewer than"
)


def _constant(word: str, answer: bool) -> Condition:
    def read(spec: Spec) -> Predicate:
        truth = (only(spec, word)[word] is True) is answer
        return Predicate(lambda _context: truth)

    return Condition(word, word, read, {"const": True}, lambda _spec: word)


_ALWAYS = _constant("always", True)
_NEVER = _constant("never", False)


WORDS = (_ALL, _ANY, _NOT, _COUNT_AT_LEAST, _COUNT_LESS_THAN, _ALWAYS, _NEVER)
