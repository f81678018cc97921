"""A limit of time by a clock that the test sets: over only after its end, and then said once it ends."""

import pytest

from fhir.terminology import time_limit
from fhir.terminology.time_limit import TimeIsOver, begin_limit, check_time, end_limit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock for both kinds of time that stands at 100 until the test moves it."""
    now = [100.0]
    monkeypatch.setattr(time_limit, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("seconds", "is_over"), [(4.9, False), (5.0, False), (5.1, True)])
def test_a_limit_is_over_after_its_last_instant(clock: list[float], seconds: float, is_over: bool) -> None:
    begun = begin_limit(5.0, lambda: clock[0])
    clock[0] += seconds
    if is_over:
        with pytest.raises(TimeIsOver):
            check_time()
    else:
        check_time()
    assert end_limit(begun) is is_over
    check_time()


@pytest.mark.parametrize("used", [0.0, 5.0])
def test_a_clock_of_the_processor_that_is_not_behind_its_end_is_not_over(clock: list[float], used: float) -> None:
    processor = [0.0]
    begun = begin_limit(5.0, lambda: processor[0])
    clock[0], processor[0] = 160.0, used
    check_time()
    assert end_limit(begun) is False
