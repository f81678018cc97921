"""Refusals are told one by one as long as they are few."""

from fhir.record.refusals import Refusal, shorten_refusals


def _refused(number: int, analyte: str = "creatinine", reason: str = "unknown-unit") -> Refusal:
    return Refusal(f"Observation/{number}", reason, f"Value {number} was not used.", analyte)


def test_few_refusals_stay_as_they_are() -> None:
    few = [_refused(number) for number in range(5)] + [_refused(9, reason="future"), _refused(8, analyte="potassium")]
    assert shorten_refusals(few) == few


def test_of_many_alike_five_are_named_and_the_rest_is_counted() -> None:
    many = [_refused(number) for number in range(20_000)]
    assert shorten_refusals(many) == [
        *many[:5],
        Refusal("creatinine", "unknown-unit", "Not used for the same reason: 19995 more (creatinine)."),
    ]


def test_resources_without_an_analyte_are_alike_by_their_type() -> None:
    broken = [Refusal(f"Condition/{number}", "unreadable", "Not used.") for number in range(7)]
    assert shorten_refusals(broken)[-1].text == "Not used for the same reason: 2 more (Condition)."
