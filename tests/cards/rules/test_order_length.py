"""How long an order without days is to be taken: a stay's validity is its length, that of a prescription is not."""

from datetime import datetime

import pytest

from tests.cards.rules.cases import check, family_book, findings
from tests.cards.rules.patients import draft_of, drafts_of, record_of


@pytest.mark.parametrize(
    ("end", "category", "is_silent"),
    [
        ("2026-11-18T23:00:00Z", None, True),
        ("2026-11-20T18:00:00Z", "inpatient", True),
        ("2026-11-20T18:00:00Z", "discharge", False),
        ("2026-11-20T18:00:00Z", None, False),
        ("2026-12-18T18:00:00Z", "inpatient", False),
        (None, "inpatient", False),
    ],
)
def test_a_validity_of_hours_or_of_a_stay_is_a_short_course(
    end: str | None, category: str | None, is_silent: bool, as_of: datetime
) -> None:
    draft = draft_of({"drug": "lorazepam 1 mg tablet", "dose": "1 mg", "times": 2})
    draft["dispenseRequest"] = {"validityPeriod": {"start": "2026-11-18T18:00:00Z"} | ({"end": end} if end else {})}
    draft["category"] = [{"coding": [{"code": category}]}] if category else []
    outcome = check(record_of({"age": 82}, as_of), drafts_of(draft), book=family_book("age-benzodiazepine"))
    assert (findings(outcome) == []) == is_silent
