"""What a word of a rule's conditions is made of: its reader, its schema, its wording; and how numbers are compared."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cards.rules.predicate import Facts, Predicate, Test, Truth, no_facts
from cards.rules.rule import RuleError
from cards.rules.situation import Situation

Comparison: TypeAlias = Callable[[float | None], Truth]
Spec: TypeAlias = Mapping[str, Any]

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
COMPARED = {"$ref": "#/$defs/comparison"}
"""The schema of a value such as {"ge": 50}."""
SELECTED = {"$ref": "#/$defs/selector"}
"""The schema of a drug selector."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A word of conditions that a family or a subject brings along; its own name is the key it is declared under.

    `read` compiles {word: value, ...}; `schema` is the JSON Schema of the value, `beside` of members that stand beside
    the word; `wording` says it on the family's page.
    """

    read: Callable[[Spec], Predicate]
    schema: Mapping[str, Any]
    wording: Callable[[Spec], str]
    beside: Mapping[str, Mapping[str, Any]] | None = None

    def schema_of(self, word: str) -> dict[str, Any]:
        """The schema of the whole condition, as rule.schema.json has one for each word."""
        properties = {word: self.schema, **(self.beside or {})}
        return {"type": "object", "required": [word], "properties": properties, "additionalProperties": False}


def only(spec: Any, *words: str) -> Spec:
    """The spec; refuses one that has other members than these."""
    if not isinstance(spec, dict) or set(spec) - set(words):
        raise RuleError(f"{spec!r}: only {', '.join(words)} can stand here")
    return spec


def comparison(spec: Spec, *beside: str) -> tuple[Comparison, frozenset[float]]:
    """Compares with every limit of the spec (lt, le, gt, ge); None stays unknown. The limits come along."""
    limits = {word: float(spec[word]) for word in _OPERATORS if word in spec}
    only(spec, *beside, *limits)
    if not limits:
        raise RuleError(f"{dict(spec)!r} compares with nothing")
    checks = tuple((_OPERATORS[word], limit) for word, limit in limits.items())
    if len(checks) == 1:
        (one, against) = checks[0]
        return (lambda value: None if value is None else one(value, against)), frozenset(limits.values())

    def compare(value: float | None) -> Truth:
        return None if value is None else all(check(value, limit) for check, limit in checks)

    return compare, frozenset(limits.values())


def floor_comparison(spec: Spec, *beside: str) -> tuple[Callable[[float, bool], Truth], frozenset[float]]:
    """Compares a sum of which perhaps only a part is known: true as soon as the known part is over the limit."""
    compare, limits = comparison(spec, *beside)
    is_floor = not {"lt", "le"} & set(spec)

    def of_sum(known: float, is_whole: bool) -> Truth:
        answer = compare(known)
        return answer if is_whole or (is_floor and answer) else None

    return of_sum, limits


def flag(word: str, read: Test, said: str, uses: frozenset[str] = frozenset(), facts: Facts = no_facts) -> Condition:
    """A word that is true or false of a situation: {word: true} or {word: false}. `said` is its wording when true."""

    def compiler(spec: Spec) -> Predicate:
        wanted = only(spec, word)[word]

        def test(situation: Situation) -> Truth:
            truth = read(situation)
            return None if truth is None else truth is wanted

        return Predicate(test, facts, uses)

    return Condition(compiler, {"type": "boolean"}, lambda spec: said if spec[word] else f"not ({said})")


def side_comparison(spec: Spec) -> Callable[[float, str], Truth]:
    """Compares a value of which only the side of a number is known (">" 60): true or false where that settles it."""
    checks = [_side_check(word, float(spec[word])) for word in _OPERATORS if word in spec]

    def compare(number: float, side: str) -> Truth:
        answers = [check(number, side) for check in checks]
        return False if False in answers else None if None in answers else True

    return compare


def _side_check(word: str, limit: float) -> Callable[[float, str], Truth]:
    """ "> 60" is 60 or more whatever comes; of two numbers on its side the nearest decides what can be decided."""
    asks_over = word in ("ge", "gt")

    def check(number: float, side: str) -> Truth:
        lies_over = side in (">", ">=")
        nearest = _OPERATORS[word](number, limit)
        if side in (">", "<") and number == limit:
            # Strictly on its side: 60 itself is not among the values.
            return lies_over if asks_over else not lies_over
        if asks_over == lies_over:
            return True if nearest else None
        return None if nearest else False

    return check
