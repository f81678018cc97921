"""The service `discharge-follow-up` on charts that the samples do not have."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cds_hooks.services.equation_calls import (
    NOW,
    added,
    answer,
    born,
    changed,
    only_card,
    reasons,
    said,
    service_request,
    visit_of,
)

HOME = ("discharge-follow-up", "going-home")


@pytest.mark.parametrize("years", [8, 17])
def test_the_scores_of_a_discharge_are_for_adults(server_here: str, years: int) -> None:
    silent = answer(server_here, *HOME, born(years))
    assert reasons(silent) == ["outside-population"]
    assert f"the patient is {years}" in said(silent)


@pytest.mark.parametrize("ward", ["Inpatient psychiatry", "Obstetrics and gynaecology", "Labor and delivery"])
def test_the_scores_of_a_discharge_are_for_medicine_and_surgery(server_here: str, ward: str) -> None:
    def on_that_ward(resource: dict[str, Any]) -> None:
        resource["serviceType"] = {"text": ward}

    assert reasons(answer(server_here, *HOME, changed("Encounter", on_that_ward))) == ["outside-population"]


def test_procedures_that_were_not_sent_are_not_none(server_here: str) -> None:
    def unsent(request: dict[str, Any]) -> None:
        del request["prefetch"]["procedures"]

    card = only_card(answer(server_here, *HOME, unsent))
    assert card["extension"]["org.cds-hooks-onnx"]["model"]["id"] == "lace"


@pytest.mark.parametrize(
    ("words", "goes_home"),
    [("Transferred to another hospital", False), ("Psychiatric hospital", False), ("LTACH", False), ("Home", True)],
)
def test_a_hospital_as_the_destination_may_be_in_words(server_here: str, words: str, goes_home: bool) -> None:
    def leaves_for(resource: dict[str, Any]) -> None:
        if resource.get("hospitalization"):
            resource["hospitalization"]["dischargeDisposition"] = {"text": words}

    answered = answer(server_here, *HOME, changed("Encounter", leaves_for))
    assert bool(answered.json()["cards"]) is goes_home


def test_a_planned_visit_is_a_follow_up_and_a_planned_scan_is_none(server_here: str) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=6)).date().isoformat()
    visit = visit_of("going-home", "Hospital follow-up visit", "planned", 0, period={"start": ahead})
    assert reasons(answer(server_here, *HOME, added("encounters", visit))) == ["already-done"]
    scan = service_request("going-home", "Follow-up CT chest", authoredOn=NOW.isoformat())
    assert only_card(answer(server_here, *HOME, added("tests", scan)))


def test_an_earlier_stay_without_an_end_does_not_swallow_this_one(server_here: str) -> None:
    earlier = visit_of("going-home", "Inpatient stay", "finished", 200)
    earlier["class"] = {"code": "IMP"}
    assert only_card(answer(server_here, *HOME, added("encounters", earlier)))
