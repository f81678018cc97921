"""A value that cannot be used is refused in one whole sentence; a value that can is whole; times are what they say."""

from datetime import date
from typing import Any

import pytest

from fhir.record.datatypes import FhirTime, parse_time, two_days_before
from fhir.record.measurement import refusal_of_unread
from fhir.record.refusals import Refusal
from tests.fhir.builders import AS_OF, lean, observation, record_of

CREATININE, POTASSIUM, PLATELETS = "2160-0", "2823-3", "777-3"


def charted(
    value: float | None = 1.2, unit: str | None = "mg/dL", code: str | None = None, **more: Any
) -> dict[str, Any]:
    quantity = {"value": value, "unit": unit, "code": code, "comparator": more.pop("comparator", None)}
    quantity = {name: part for name, part in quantity.items() if part is not None}
    return observation(CREATININE, None, None, more.pop("when", "2026-11-01"), valueQuantity=quantity, **more)


@pytest.mark.parametrize(
    ("resource", "reason", "what"),
    [
        (charted(190), "implausible", "190 mg/dL is outside the plausible range on 2026-11-01: not used."),
        (charted(unit=None), "no-unit", "1.2 has no unit on 2026-11-01: not used."),
        (charted(unit="furlong"), "unknown-unit", "1.2 has the unknown unit 'furlong' on 2026-11-01: not used."),
        (charted(code="furlong"), None, ""),  # the text says the unit
        (charted(unit="stone", code="furlong"), "unknown-unit",
         "1.2 has the unknown unit 'stone' on 2026-11-01: not used."),
        (charted(unit="umol/L", code="mg/dL"), "unit-conflict",
         "1.2: unit says umol/L, code says mg/dL on 2026-11-01: not used."),
        (charted(comparator="<"), "not-exact",
         "<1.2 mg/dL is not an exact value on 2026-11-01: not used as a number."),
        (charted(when="2026-12-25"), "future", "is dated in the future (2026-12-25): not used."),
        (charted(when=None), "no-date", "has no readable date: not used."),
        (charted(when="soon"), "no-date", "has no readable date: not used."),
        (charted(status="preliminary"), "not-final", "has status preliminary, not final on 2026-11-01: not used."),
        (charted(status="entered-in-error"), "entered-in-error", "was entered in error on 2026-11-01: not used."),
        (observation(CREATININE, None, None, valueQuantity=None, valueString="see comment"), "no-quantity",
         "has a value that is no number with a unit on 2026-11-01: not used."),
        (observation(CREATININE, None, None, valueQuantity=None, dataAbsentReason={"text": "error"}), "data-absent",
         "has no value (data absent) on 2026-11-01: not used."),
        (charted(None), "data-absent", "has no value (data absent) on 2026-11-01: not used."),
        (observation(CREATININE, None, None, valueQuantity=None), None, ""),
        (charted(None, status="entered-in-error"), None, ""),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence_with_its_reason(resource: dict[str, Any], reason: str | None, what: str) -> None:
    record = record_of(resource)
    record.newest("creatinine")
    statement = f"Creatinine {what}".removesuffix(".").removesuffix(": not used as a number").removesuffix(": not used")
    expected = Refusal(
        f"Observation/{resource['id']}", reason or "", f"Creatinine {what}", "creatinine", CREATININE,
        statement.removesuffix(" on 2026-11-01"),
    )  # fmt: skip
    assert record.refusals == ((expected,) if reason is not None else ())


def test_results_without_a_code_are_counted_and_three_are_named() -> None:
    def result(words: str | None, *codings: dict[str, str], **more: Any) -> dict[str, Any]:
        code = {"coding": list(codings)} | ({"text": words} if words else {})
        return observation(CREATININE, 1.0, "x", code=code, id=f"{words}{len(codings)}", **more)

    names = [result(f"Xyzzy {letter}") for letter in "ab"]
    coded = result(None, {"system": "urn:x", "code": "7"})
    shown = result(None, {"display": "Shown"}, {"system": "urn:x", "code": "8"})
    others = [(lean(resource), lean(resource), None) for resource in (*names, coded)]
    text = "3 numeric results have no code that could be read: Xyzzy a; Xyzzy b; 7."
    assert refusal_of_unread(others) == [Refusal("results", "results-unreadable", text, code="text text urn:x|7")]
    more = [*others, (lean(shown), lean(shown), None), others[0]]
    text = "5 numeric results have no code that could be read: Xyzzy a; Xyzzy b; 7 and 1 more."
    assert refusal_of_unread(more) == [Refusal("results", "results-unreadable", text, code="text text urn:x|7 urn:x|8")]
    alone = "1 numeric result has no code that could be read: Xyzzy a."
    assert [refusal.text for refusal in refusal_of_unread(others[:1])] == [alone]
    silent = (
        result("x", {"system": "http://loinc.org", "code": "1-1"}), result("x", status="preliminary"),
        result("x", {"code": "8664-5"}), result("x", valueQuantity={"unit": "x"}), result("x", valueQuantity=None),
    )  # fmt: skip
    assert refusal_of_unread([(lean(resource), lean(resource), None) for resource in silent]) == []


@pytest.mark.parametrize(
    "text", ["", "20", "202a", "2026-13", "2026/11", "2026-11-31", "2026/11/20", "2026-1120", "26-11-20T"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_time(text) is None
    assert two_days_before(text) is None


def test_the_future_begins_after_the_slack_of_clocks_and_zones() -> None:
    now = AS_OF.timestamp()
    for precision, slack in (("instant", 300.0), ("day", 50_400.0)):
        at = [FhirTime(now + slack + more, "", precision).is_after(now) for more in (0.0, 1.0)]  # type: ignore[arg-type]
        assert at == [False, True]


@pytest.mark.parametrize(
    ("text", "today", "months"),
    [
        ("2020-05-10", date(2026, 5, 9), 71),
        ("2020-05-10", date(2026, 5, 10), 72),
        ("2020-05", date(2026, 5, 1), 72),
        ("2020-12-31", date(2021, 1, 1), 0),
        ("2020", date(2026, 5, 1), None),
    ],
)
def test_months_are_completed(text: str, today: date, months: int | None) -> None:
    time = parse_time(text)
    assert time is not None
    assert time.completed_months(today) == months


def test_days_are_counted_from_the_beginning_and_never_below_none() -> None:
    time = FhirTime(1_000_000.0, "", "instant")
    assert (time.age_days(1_000_000.0 + 129_600), time.whole_days(1_000_000.0 + 129_600)) == (1.5, 1)
    assert (time.age_days(0.0), time.whole_days(0.0)) == (0.0, 0)
