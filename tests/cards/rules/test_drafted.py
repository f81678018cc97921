"""Dangerous drafts as clinicians write them, look-alikes, and the same with a fact missing (tests/cases/drafts)."""

from collections import Counter
from datetime import datetime

import pytest

from tests.cards.rules.drafted import drafted_cases, fault_of

FILES = sorted({name for name, _ in drafted_cases()})
# The points of the list whose every item has all three kinds; the others are about names and doses.
_ABOUT_READING = {"B1", "B2", "B3"}


@pytest.mark.parametrize("name", FILES)
def test_every_draft_is_answered_as_its_case_says(name: str, as_of: datetime) -> None:
    cases = [case for file, case in drafted_cases() if file == name]
    faults = {f"{case['point']}: {case['id']}": fault_of(case, as_of) for case in cases}
    assert {case: fault for case, fault in faults.items() if fault is not None} == {}


def test_the_list_is_long_enough_and_a_third_of_it_must_stay_silent() -> None:
    kinds = Counter(case["kind"] for _, case in drafted_cases())
    assert kinds["fires"] >= 131
    assert 2 * (kinds["silent"] + kinds["missing"]) >= kinds["fires"]


def test_every_point_has_a_draft_that_fires_a_look_alike_and_a_missing_fact() -> None:
    kinds: dict[str, set[str]] = {}
    for _, case in drafted_cases():
        kinds.setdefault(case["point"], set()).add(case["kind"])
    assert {point: found for point, found in kinds.items() if len(found) < 3 and point not in _ABOUT_READING} == {}
