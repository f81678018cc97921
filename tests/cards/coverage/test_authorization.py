"""The number of a prior authorization that was given: for the code, valid on the day, certified in every part."""

from datetime import date
from typing import Any

from cards.coverage.authorization import affirmed_number
from tests.cards.coverage.test_annotation import POLICY
from tests.each import for_rows

Json = dict[str, Any]
DAY = date(2026, 11, 20)
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"


def review(code: str) -> Json:
    return {"extension": [{"valueCodeableConcept": {"coding": [
        {"system": "https://codesystem.x12.org/005010/306", "code": code}
    ]}}]}  # fmt: skip


def billed(code: str) -> Json:
    return {"productOrService": {"coding": [{"system": HCPCS, "code": code}]}}


RESPONSE: Json = {
    "use": "preauthorization", "status": "active", "outcome": "complete", "preAuthRef": "A-1",
    "preAuthPeriod": {"start": "2026-11-01", "end": "2026-11-20"},
    "addItem": [billed("B4150")], "item": [{"adjudication": [review("A1")]}],
}  # fmt: skip


@for_rows(
    ("change", "is_given"),
    [
        ({}, True),
        ({"use": "claim"}, False),
        ({"status": "cancelled"}, False),
        ({"outcome": "partial"}, True),
        ({"outcome": "queued"}, False),
        ({"preAuthRef": ""}, False),
        ({"preAuthRef": 1}, False),
        ({"preAuthPeriod": {"start": "2026-11-20", "end": "2026-11-30"}}, True),
        ({"preAuthPeriod": {"start": "2026-11-21", "end": "2026-11-30"}}, False),
        ({"preAuthPeriod": {"start": "2026-11-01", "end": "2026-11-19"}}, False),
        ({"preAuthPeriod": {"end": "2026-11-20"}}, True),
        ({"preAuthPeriod": {}}, False),
        ({"preAuthPeriod": "2026"}, False),
        ({"addItem": [billed("B4151")]}, False),
        ({"addItem": [billed("B4151"), billed("B4150")]}, True),
        ({"addItem": [], "item": [{**billed("B4150"), "adjudication": [review("A1")]}]}, True),
        ({"addItem": [], "disposition": "Approved: b4150, 30 units."}, True),
        ({"addItem": [], "disposition": "Approved: XB4150."}, False),
        ({"addItem": []}, False),
        ({"item": []}, False),
        ({"item": [], "adjudication": [review("A1")]}, True),
        ({"item": [review("A1"), review("A2")]}, False),
        ({"item": [{"coding": [{"system": "https://example.org", "code": "A1"}]}]}, False),
    ],
)
def test_a_response_counts_that_certifies_the_code_for_the_day(change: Json, is_given: bool) -> None:
    assert affirmed_number(POLICY, [RESPONSE | change], DAY) == ("A-1" if is_given else None)
