"""Signs of a pregnancy, whole: what each answer, number and unit means, and from which resource and day."""

from typing import Any

import pytest

from fhir.mapping.pregnancy_signs import PregnancySign, pregnancy_signs
from fhir.record.datatypes import parse_time
from tests.fhir.builders import observation, record_of
from tests.fhir.mapping.test_pregnancy import NEGATIVE, POSITIVE, WOMAN, seen, visit

HCG, STATUS, DUE, WEEKS = "19080-1", "82810-3", "11778-8", "11884-4"
DAY = parse_time("2026-11-10")


def signs(*resources: dict[str, Any]) -> dict[str, list[PregnancySign]]:
    """The signs by kind, without the kinds of which there is none."""
    read = pregnancy_signs(record_of(*resources, patient=WOMAN))
    return {name: list(getattr(read, name)) for name in read.__struct_fields__ if getattr(read, name)}


def hcg(value: float, unit: str | None = "mIU/mL", **more: Any) -> dict[str, Any]:
    quantity = {"value": value} | ({"unit": unit} if unit else {}) | more
    return observation(HCG, None, None, "2026-11-10", valueQuantity=quantity)


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        (hcg(25), "positive"),
        (hcg(24.9), None),
        (hcg(5), None),
        (hcg(4.9), "negative"),
        (hcg(4.9, comparator=">"), None),
        (hcg(5, comparator="<"), "negative"),
        (hcg(5, comparator="<="), "negative"),
        (hcg(6, comparator="<"), None),
        (hcg(30, comparator="<"), None),
        (hcg(25, comparator=">"), "positive"),
        (hcg(25, comparator=">="), "positive"),
        (hcg(25, "U/L"), "positive"),
        (hcg(25, "ng/mL"), None),
        (hcg(25, None), None),
        (hcg(25, "x", code="m[IU]/mL"), "positive"),
        (seen(HCG, valueString="Negative"), "negative"),
        (seen(HCG, valueString="not reactive"), "negative"),
        (seen(HCG, valueString="Reactive"), "positive"),
        (seen(HCG, valueString="invalid"), None),
        (seen(HCG, valueString="invalid", interpretation=[{"coding": [{"code": "POS"}]}]), "positive"),
        (seen(HCG, interpretation=[{"coding": [{"code": "H"}]}, {"coding": [{"code": "NEG"}]}]), "negative"),
        (seen(HCG, interpretation=[{"coding": [{"code": "H"}]}]), None),
        (seen(HCG, valueCodeableConcept=POSITIVE, interpretation=[{"coding": [{"code": "NEG"}]}]), "positive"),
        (seen(HCG, valueCodeableConcept=NEGATIVE), "negative"),
        (hcg(10) | {"interpretation": [{"coding": [{"code": "POS"}]}]}, None),
        (seen(HCG, "2026-11-22", valueCodeableConcept=POSITIVE), None),
        (seen(HCG, valueCodeableConcept=POSITIVE, status="cancelled"), None),
        (observation(HCG, None, None, None, valueQuantity=None, valueCodeableConcept=POSITIVE), None),
    ],
)
def test_a_test_is_positive_negative_or_says_nothing(resource: dict[str, Any], kind: str | None) -> None:
    words = f"pregnancy test {kind}"
    source = f"Observation/{resource['id']}"
    assert DAY is not None
    sign = PregnancySign("hcg", words, HCG, source, DAY)
    assert signs(resource) == ({kind: [sign]} if kind is not None else {})


@pytest.mark.parametrize(
    ("value", "due"),
    [
        ({"valueDateTime": "2027-03-01"}, "2027-03-01"),
        ({"valueString": "2027-03-01"}, "2027-03-01"),
        ({"valueDateTime": "2027-03-01", "valueString": "2027-04-01"}, "2027-03-01"),
        ({"valueString": "in spring"}, None),
    ],
)
def test_a_due_date_is_a_date(value: dict[str, Any], due: str | None) -> None:
    assert DAY is not None
    resource = seen(DUE, **value)
    sign = PregnancySign(
        "due", "due date", DUE, f"Observation/{resource['id']}", DAY, due=parse_time(due) if due else None
    )
    assert signs(resource) == ({"due": [sign]} if due else {})


@pytest.mark.parametrize(
    ("value", "unit", "weeks"),
    [
        (20, "wk", 20.0),
        (20, "Weeks ", 20.0),
        (140, "d", 20.0),
        (140, "days", 20.0),
        (140, "Day", 20.0),
        (20, "week", 20.0),
        (20, "w", 20.0),
        (44.9, "wk", 44.9),
        (45, "wk", None),
        (0, "wk", None),
        (1, "d", 1 / 7),
        (20, "mo", None),
    ],
)
def test_weeks_are_counted_from_weeks_or_days(value: float, unit: str, weeks: float | None) -> None:
    quantity = {"value": value, "unit": unit}
    read = signs(observation(WEEKS, None, None, "2026-11-10", valueQuantity=quantity))
    assert [sign.weeks for sign in read.get("gestation", [])] == ([pytest.approx(weeks)] if weeks else [])
    assert signs(seen(WEEKS)) == {}
    below = {"value": 8, "unit": "wk", "code": "wk", "comparator": "<"}
    assert signs(observation(WEEKS, None, None, "2026-11-10", valueQuantity=below)) == {}


@pytest.mark.parametrize(
    ("start", "code", "counts"),
    [("2026-11-10", "72892002", True), ("2026-11-22", "72892002", False), ("2026-11-10", "44054006", False)],
)
def test_a_visit_because_of_a_pregnancy_is_a_sign(start: str, code: str, counts: bool) -> None:
    assert DAY is not None
    sign = PregnancySign("visit", "Normal pregnancy", code, "Encounter/v1", DAY)
    assert signs(visit(start, code)) == ({"visits": [sign]} if counts else {})


def test_signs_come_newest_first() -> None:
    days = ["2026-11-01", "2026-11-10", "2026-10-01"]
    read = signs(*(seen(HCG, day, valueCodeableConcept=POSITIVE) for day in days))
    assert [sign.time.date for sign in read["positive"]] == sorted(days, reverse=True)
