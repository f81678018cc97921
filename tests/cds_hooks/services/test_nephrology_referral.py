"""The service `nephrology-referral` on charts that the samples do not have."""

from typing import Any

import pytest

from tests.cds_hooks.services.equation_calls import (
    added,
    ago,
    answer,
    condition,
    only_card,
    procedure,
    reasons,
    service_request,
    valued,
    visit_of,
    without,
)

KIDNEY = ("nephrology-referral", "ckd-uacr")


@pytest.mark.parametrize(
    ("unit", "value"),
    [("mg/g{creat}", 353.6), ("mg/g creat", 353.6), ("mg/mmol{creat}", 40.0), ("mg/mmol Cr", 40.0), ("mcg/mg", 353.6)],
)
def test_a_ratio_of_albumin_is_read_in_the_units_of_laboratories(server_here: str, unit: str, value: float) -> None:
    plain = only_card(answer(server_here, *KIDNEY, valued("9318-7", 353.6, "mg/g")))
    other = only_card(answer(server_here, *KIDNEY, valued("9318-7", value, unit)))
    risks = [card["extension"]["org.cds-hooks-onnx"]["probability"] for card in (plain, other)]
    assert risks[0] == pytest.approx(risks[1], rel=1e-6)


@pytest.mark.parametrize("words", ["Urine albumin/creatinine ratio", "UACR", "Microalbumin/creat, random urine"])
def test_a_test_that_is_ordered_in_words_is_not_offered_again(server_here: str, words: str) -> None:
    ordered = service_request("ckd-uacr", words)
    assert reasons(answer(server_here, *KIDNEY, without("9318-7"), added("tests", ordered))) == ["input-missing"]
    proposed = service_request("ckd-uacr", words, intent="proposal")
    assert reasons(answer(server_here, *KIDNEY, without("9318-7"), added("tests", proposed))) == ["worklist"]


def test_a_laboratorys_own_estimates_make_kidney_disease_chronic(server_here: str) -> None:
    def report(number: int, value: float, days: int) -> dict[str, Any]:
        quantity = {"value": value, "unit": "mL/min/1.73m2"}
        code = {"coding": [{"system": "http://loinc.org", "code": "98979-8"}]}
        made = {"resourceType": "Observation", "id": f"report-{number}", "status": "final", "code": code}
        about = {"subject": {"reference": "Patient/ckd-uacr"}, "effectiveDateTime": ago(days)}
        return {**made, **about, "valueQuantity": quantity}

    def unlisted(request: dict[str, Any]) -> None:
        request["prefetch"]["conditions"] = {"resourceType": "Bundle", "type": "searchset", "entry": []}

    bare = (unlisted, without("2160-0", "33914-3", "48642-3", "62238-1"))
    assert reasons(answer(server_here, *KIDNEY, *bare, added("labs", report(1, 42, 10)))) == ["outside-population"]
    both = added("labs", report(1, 42, 10), report(2, 44, 300))
    assert only_card(answer(server_here, *KIDNEY, *bare, both))["summary"].startswith("Kidney failure within 5 years")


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (procedure("ckd-uacr", "Hemodialysis"), "excluded"),
        (condition("ckd-uacr", "N18.6"), "excluded"),
        (visit_of("ckd-uacr", "Nephrology clinic visit", "planned", -10), "already-done"),
        (
            visit_of("ckd-uacr", "Office visit", "finished", 10, serviceType={"text": "Nephrology"}),
            "already-done",
        ),
    ],
)
def test_no_referral_where_nephrology_is_or_will_be_at_work(
    server_here: str, resource: dict[str, Any], reason: str
) -> None:
    key = {"Procedure": "procedures", "Condition": "conditions", "Encounter": "encounters"}[resource["resourceType"]]
    assert reasons(answer(server_here, *KIDNEY, added(key, resource))) == [reason]


@pytest.mark.parametrize(
    ("words", "more", "is_referred"),
    [
        ("Referral to nephrology", {}, True),
        ("Ambulatory referral", {"performerType": {"text": "Nephrologist"}}, True),
        ("Ambulatory referral", {"performerType": {"coding": [{"display": "Nephrologist"}]}}, True),
        ("Ambulatory referral", {"performerType": {"text": "Cardiologist"}}, False),
        ("Referral to nephrology", {"intent": "proposal"}, False),
        ("Referral to nephrology declined by the patient", {}, False),
        ("No nephrology referral needed", {}, False),
    ],
)
def test_a_referral_is_known_by_its_words_or_by_whom_it_goes_to(
    server_here: str, words: str, more: dict[str, Any], is_referred: bool
) -> None:
    referral = service_request("ckd-uacr", words, **more)
    answered = answer(server_here, *KIDNEY, added("tests", referral))
    assert bool(answered.json()["cards"]) is not is_referred
    assert not is_referred or reasons(answered) == ["already-done"]


def test_an_adrenal_clinic_is_no_renal_clinic(server_here: str) -> None:
    visit = visit_of("ckd-uacr", "Adrenal clinic", "finished", 10)
    assert only_card(answer(server_here, *KIDNEY, added("encounters", visit)))


def test_the_place_of_a_visit_says_who_saw_the_patient(server_here: str) -> None:
    place = [{"location": {"display": "Nephrology Clinic, 2nd floor"}}]
    visit = visit_of("ckd-uacr", "Office visit", "finished", 10, location=place)
    assert reasons(answer(server_here, *KIDNEY, added("encounters", visit))) == ["already-done"]
