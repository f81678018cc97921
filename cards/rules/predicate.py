"""A condition made ready: three answers (true, false, unknown as None), the facts behind it, how conditions combine.

`all` is false as soon as one part is false, `any` true as soon as one is true; a count is unknown only when the
unknown parts could change it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from cards.rules.fact import Fact
from cards.rules.situation import Situation

Truth: TypeAlias = bool | None
Test: TypeAlias = Callable[[Situation], Truth]
Facts: TypeAlias = Callable[[Situation], list[Fact]]


def no_facts(_situation: Situation) -> list[Fact]:
    """For conditions that rest on the absence of something."""
    return []


@dataclass(frozen=True, slots=True)
class Predicate:
    """A compiled condition.

    `uses` names the facts it rests on, `limits` the numbers it compares with; `facts` lists, for a situation in which
    it is true, what made it so.
    """

    test: Test
    facts: Facts = no_facts
    uses: frozenset[str] = frozenset()
    limits: frozenset[float] = frozenset()


def all_of(parts: tuple[Predicate, ...]) -> Predicate:
    """True when every part is."""
    tests = tuple(part.test for part in parts)

    def test(situation: Situation) -> Truth:
        answer: Truth = True
        for one in tests:
            truth = one(situation)
            if truth is False:
                return False
            if truth is None:
                answer = None
        return answer

    return _together(test, lambda situation: _facts_of(parts, situation), parts)


def any_of(parts: tuple[Predicate, ...]) -> Predicate:
    """True when one part is."""
    tests = tuple(part.test for part in parts)

    def test(situation: Situation) -> Truth:
        answer: Truth = False
        for one in tests:
            truth = one(situation)
            if truth is True:
                return True
            if truth is None:
                answer = None
        return answer

    return _together(test, lambda situation: _facts_of(_true_parts(parts, situation), situation), parts)


def none_of(part: Predicate) -> Predicate:
    """True when the part is false."""

    def test(situation: Situation) -> Truth:
        truth = part.test(situation)
        return None if truth is None else not truth

    return Predicate(test, no_facts, part.uses, part.limits)


def constant(answer: bool) -> Predicate:
    """Always the same."""
    return Predicate(lambda _situation: answer)


def at_least(n: int, parts: tuple[Predicate, ...]) -> Predicate:
    """True when so many parts are."""

    def test(situation: Situation) -> Truth:
        true, unknown = _count(parts, situation)
        if true >= n:
            return True
        return None if true + unknown >= n else False

    return _together(test, lambda situation: _facts_of(_true_parts(parts, situation), situation), parts)


def less_than(n: int, parts: tuple[Predicate, ...]) -> Predicate:
    """True when fewer parts are."""

    def test(situation: Situation) -> Truth:
        true, unknown = _count(parts, situation)
        if true >= n:
            return False
        return True if true + unknown < n else None

    return _together(test, lambda situation: _facts_of(parts, situation), parts)


def _count(parts: Iterable[Predicate], situation: Situation) -> tuple[int, int]:
    answers = [part.test(situation) for part in parts]
    return answers.count(True), answers.count(None)


def _together(test: Test, facts: Facts, parts: Iterable[Predicate]) -> Predicate:
    uses: frozenset[str] = frozenset()
    limits: frozenset[float] = frozenset()
    for part in parts:
        uses, limits = uses | part.uses, limits | part.limits
    return Predicate(test, facts, uses, limits)


def _facts_of(parts: Iterable[Predicate], situation: Situation) -> list[Fact]:
    return [fact for part in parts for fact in part.facts(situation)]


def _true_parts(parts: Iterable[Predicate], situation: Situation) -> list[Predicate]:
    return [part for part in parts if part.test(situation) is True]
