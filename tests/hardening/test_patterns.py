"""No regular expression of the product takes more than linear time, on texts that are made from the expression itself.

A call holds the interpreter while an expression is matched: one of quadratic time can stop a server for minutes.
"""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from fhir.record.datatypes import LONGEST_TEXT
from tests.hardening.patterns import hostile_texts, product_patterns

LENGTH = 2 * LONGEST_TEXT
_SLOW_SECONDS, _GROWTH, _LIMIT_SECONDS = 0.0015, 8.0, 0.2
_TRIES = 3
"""Measurements that must all show it: what else the machine does disturbs single ones."""
_WHITE_SPACE = re.compile(r"\s+")


class _Stopped(Exception):
    """The expression did not end."""


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stopped


@contextmanager
def _limited() -> Iterator[None]:
    """Stops a match that does not end: `re` looks for signals while it matches."""
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, _LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _seconds(match: Callable[[str], object], text: str) -> float:
    start = time.thread_time()
    try:
        with _limited():
            match(text)
    except _Stopped:
        return _LIMIT_SECONDS
    return time.thread_time() - start


def is_linear(match: Callable[[str], object], beginning: str, repeated: str) -> bool:
    """Whether four times the text takes at most some four times as long; white space is collapsed, as at the edge.

    The last character fits nothing, so that the expression tries whatever else it may.
    """
    short, long = (
        _WHITE_SPACE.sub(" ", f"{beginning}{repeated * (length // len(repeated))}\x01")
        for length in (LENGTH // 4, LENGTH)
    )
    for _ in range(_TRIES):
        seconds = _seconds(match, long)
        if seconds < _SLOW_SECONDS or seconds < min(_GROWTH * _seconds(match, short), _LIMIT_SECONDS):
            return True
    return False


def faults(pattern: str, flags: int, methods: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """By which method and with which texts an expression takes more than linear time."""
    compiled = re.compile(pattern, flags)
    return [
        (method, beginning, repeated)
        for beginning, repeated in hostile_texts(pattern, flags)
        for method in methods
        if not is_linear(getattr(compiled, method), beginning, repeated)
    ]


@pytest.mark.slow
def test_every_expression_of_the_product_is_linear() -> None:
    known = {(pattern, flags): (place, methods) for place, pattern, flags, methods in product_patterns()}
    assert len(known) > 500
    slow = {
        place: found
        for (pattern, flags), (place, methods) in known.items()
        if (found := faults(pattern, flags, methods))
    }
    assert not slow


_NOT_LINEAR = (r"\d+=", r"ct.*doppler", r"x.*y.*z", r"\((?:[^()]|\([^)]*\))*$")


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["(a+)+$", *_NOT_LINEAR])
def test_an_expression_that_is_not_linear_is_found(pattern: str) -> None:
    assert faults(pattern, 0, ("search",))
