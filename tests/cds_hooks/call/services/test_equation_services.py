"""The services of published equations: who gets a card, in which words, and why the others get none."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.cds_hooks.call.services.equation_calls import (
    NOW,
    Change,
    added,
    ago,
    answer,
    only_card,
    reasons,
    resources,
    service_request,
    without,
)
from tests.fhir.builders import encounter


def visit(sample: str) -> Change:
    """An ambulatory visit that goes on."""
    going_on = encounter("AMB", patient=sample, id="added-visit", period={"start": ago(0)})
    return added("encounters", going_on)


STATIN = ("statin-discussion", "diabetes-no-statin")
KIDNEY = ("nephrology-referral", "ckd-uacr")
LIVER = ("liver-assessment", "fatty-liver")
HOME = ("discharge-follow-up", "going-home")


@pytest.mark.parametrize(
    ("pair", "change", "loinc", "missing"),
    [
        (STATIN, without("2093-3", "2085-9"), "57698-3", ["total_cholesterol", "hdl_cholesterol"]),
        (STATIN, without("2085-9"), "57698-3", ["hdl_cholesterol"]),
        (KIDNEY, without("9318-7"), "9318-7", ["uacr"]),
        (LIVER, without("777-3"), "58410-2", ["platelets"]),
        (LIVER, without("1920-8"), "24325-3", ["ast"]),
    ],
)
def test_one_missing_test_is_offered_as_the_order(
    server_here: str, pair: tuple[str, str], change: Change, loinc: str, missing: list[str]
) -> None:
    def older(request: dict[str, Any]) -> None:
        """At 77 a statin is not indicated by diabetes alone."""
        if pair == STATIN:
            request["prefetch"]["patient"]["birthDate"] = ago(77 * 366)

    card = only_card(answer(server_here, *pair, older, visit(pair[1]), change))
    (suggestion,) = card["suggestions"]
    (action,) = suggestion["actions"]
    assert action["resource"]["code"]["coding"][0]["code"] == loinc
    assert card["extension"]["org.cds-hooks-onnx"]["missing"] == missing
    assert "probability" not in card["extension"]["org.cds-hooks-onnx"]


def test_a_missing_test_outside_a_visit_is_kept_for_the_worklist(server_here: str) -> None:
    assert reasons(answer(server_here, *KIDNEY, without("9318-7"))) == ["worklist"]


def test_a_missing_test_that_is_ordered_already_is_not_offered_again(server_here: str) -> None:
    ordered = service_request("ckd-uacr", "UACR")
    ordered["code"] = {"coding": [{"system": "http://loinc.org", "code": "9318-7"}]}
    answered = answer(server_here, *KIDNEY, without("9318-7"), added("tests", ordered))
    assert reasons(answered) == ["input-missing"]


def test_a_kidney_disease_is_not_denied_where_the_results_did_not_come(server_here: str) -> None:
    without_disease = ("nephrology-referral", "diabetes-no-statin")
    assert reasons(answer(server_here, *without_disease)) == ["outside-population"]

    def failed(request: dict[str, Any]) -> None:
        failure = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]}
        prefetch = request["prefetch"]
        prefetch |= {key: failure for key, value in prefetch.items() if "Observation" in json.dumps(value)}

    found = reasons(answer(server_here, *without_disease, failed))
    assert "input-missing" in found
    assert "outside-population" not in found


def test_who_does_not_go_home_is_not_scored(server_here: str) -> None:
    def to_hospice(request: dict[str, Any]) -> None:
        for resource in resources(request):
            if resource["resourceType"] == "Encounter" and resource["id"] == "going-home-encounter-5":
                resource["hospitalization"]["dischargeDisposition"] = {"coding": [{"code": "hosp"}]}

    assert reasons(answer(server_here, *HOME, to_hospice)) == ["outside-population"]


def test_the_follow_up_is_due_within_a_week_and_belongs_to_the_stay(server_here: str) -> None:
    card = only_card(answer(server_here, *HOME))
    drafted = card["suggestions"][0]["actions"][0]["resource"]
    assert drafted["occurrenceDateTime"] == (NOW + timedelta(days=7)).date().isoformat()
    assert drafted["encounter"]["reference"] == "Encounter/going-home-encounter-5"
    assert "**LACE index 10**" in card["detail"]
    assert "**HOSPITAL score" not in card["detail"], "the score of the card stands beside no other"
