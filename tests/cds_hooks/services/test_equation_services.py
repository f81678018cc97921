"""The services of published equations: who gets a card, in which words, and why the others get none."""

import json
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest
from markdown_it import MarkdownIt

from cards.card import Card, check_card
from cds_hooks.kit.samples import Sample, list_samples
from cds_hooks.services import anticoagulation_discussion, statin_discussion
from models_onnx.equations.arithmetic import apply_link
from tests.cds_hooks.calls import ours
from tests.cds_hooks.services.equation_calls import (
    HOOKS,
    NOW,
    Change,
    added,
    ago,
    answer,
    answer_of_site,
    condition,
    only_card,
    order,
    reasons,
    resources,
    service_request,
    valued,
    without,
)

SPEAKING = [
    (spoken.service, sample.id)
    for sample in list_samples()
    for spoken in sample.services or ()
    if spoken.service in HOOKS
]
WITH_RESULT = [pair for pair in SPEAKING if pair not in [
    ("liver-assessment", "ckd4-metformin"),
    ("nephrology-referral", "ckd3b-metformin"),
    ("liver-assessment", "ckd3b-metformin"),
    ("statin-discussion", "ckd-uacr"),
]]  # fmt: skip
STORIES = [
    sample for sample in list_samples() if sample.services or sample.id in ("healthy-adult", "deceased", "hospice")
]


@pytest.mark.parametrize("sample", STORIES, ids=lambda sample: sample.id)
def test_each_story_gets_the_cards_that_it_names_and_no_other(server_here: str, sample: Sample) -> None:
    spoken = {each.service for each in sample.services or ()}
    for service, hook in HOOKS.items():
        if hook == "encounter-discharge" and sample.id not in ("going-home",):
            continue
        answered = answer(server_here, service, sample.id)
        assert len(answered.json()["cards"]) == (1 if service in spoken else 0), service
        if service not in spoken:
            assert ours(answered)["silence"]


@pytest.mark.parametrize(("service", "sample"), SPEAKING)
def test_a_card_keeps_to_the_wire_and_reads_as_a_clinician_would_want_it(
    server_here: str, service: str, sample: str
) -> None:
    card = only_card(answer(server_here, service, sample))
    check_card(msgspec.json.decode(json.dumps(card), type=Card))
    assert card["indicator"] == "info"
    assert "onsider" in card["summary"]
    assert len([line for line in card["detail"].splitlines() if line]) <= 12
    drawn = MarkdownIt().render(card["detail"])
    assert "<" not in re.sub(r'</?(p|ul|li|strong|a)( href="[^"]*")?>', "", drawn)
    for suggestion in card["suggestions"]:
        for action in suggestion["actions"]:
            drafted = ServiceRequest.model_validate(action["resource"])
            assert (drafted.status, drafted.intent) == ("draft", "order")
            assert action["resource"]["subject"]["reference"] == f"Patient/{sample}"
    assert card["source"]["url"].startswith("https://doi.org/")


@pytest.mark.parametrize(("service", "sample"), WITH_RESULT)
def test_base_and_contributions_add_up_and_each_has_a_date_and_a_place(
    server_here: str, service: str, sample: str
) -> None:
    said = only_card(answer(server_here, service, sample))["extension"]["org.cds-hooks-onnx"]
    if "base" not in said:  # an indication of a guideline rests on facts
        assert all("/" in fact["source"] for fact in said["facts"])
        return
    total = said["base"] + sum(each["contribution"] for each in said["contributions"])
    value = said.get("probability", said.get("value"))
    assert math.isclose(total, apply_link(said["link"], value), abs_tol=1e-9)
    assert len(said["model"]["sha256"]) == 64
    for each in said["contributions"]:
        assert each["effective"]
        assert "/" in each["source"]


def _hidden(key: str) -> Change:
    def change(request: dict[str, Any]) -> None:
        request["prefetch"][key] = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "exception"}],
        }

    return change


def _planned(request: dict[str, Any]) -> None:
    """The stay did not begin as an emergency."""
    for resource in resources(request):
        resource.pop("hospitalization", None)


def visit(sample: str) -> Change:
    """An ambulatory visit that goes on."""
    going_on = {
        "resourceType": "Encounter", "id": "added-visit", "status": "in-progress", "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{sample}"}, "period": {"start": ago(0)},
    }  # fmt: skip
    return added("encounters", going_on)


STATIN = ("statin-discussion", "diabetes-no-statin")
KIDNEY = ("nephrology-referral", "ckd-uacr")
AF = ("anticoagulation-discussion", "af-no-anticoagulant")
LIVER = ("liver-assessment", "fatty-liver")
HOME = ("discharge-follow-up", "going-home")


@pytest.mark.parametrize(
    ("pair", "change", "reason"),
    [
        (STATIN, added("medications", order("diabetes-no-statin", "83367", "atorvastatin")), "already-done"),
        (STATIN, added("conditions", condition("diabetes-no-statin", "Z51.5")), "palliative"),
        (STATIN, added("tests", service_request("diabetes-no-statin", "Hospice care")), "palliative"),
        (STATIN, added("tests", service_request("diabetes-no-statin", statin_discussion.TALK)), "already-done"),
        (STATIN, added("conditions", condition("diabetes-no-statin", "Z99.2")), "contraindicated"),
        (STATIN, _hidden("medications"), "input-missing"),
        (STATIN, _hidden("conditions"), "excluded"),
        (KIDNEY, added("tests", service_request("ckd-uacr", "Referral to Nephrology")), "already-done"),
        (KIDNEY, added("conditions", condition("ckd-uacr", "Z94.0")), "excluded"),
        (KIDNEY, added("conditions", condition("ckd-uacr", "N17.9")), "excluded"),
        (KIDNEY, valued("9318-7", 2, "mg/g"), "below-threshold"),
        (AF, added("medications", order("af-no-anticoagulant", "1364430", "apixaban")), "already-done"),
        (AF, added("tests", service_request("af-no-anticoagulant", anticoagulation_discussion.TALK)), "already-done"),
        (AF, _hidden("medications"), "input-missing"),
        (LIVER, added("conditions", condition("fatty-liver", "K74.60")), "already-done"),
        (LIVER, added("tests", service_request("fatty-liver", "Liver elastography")), "already-done"),
        (LIVER, valued("1920-8", 20), "below-threshold"),
        (HOME, added("tests", service_request("going-home", "Follow-up visit, cardiology")), "already-done"),
        (HOME, _planned, "below-threshold"),
    ],
)  # fmt: skip
def test_a_service_is_silent_where_there_is_nothing_to_do(
    server_here: str, pair: tuple[str, str], change: Change, reason: str
) -> None:
    assert reason in reasons(answer(server_here, *pair, change))


def test_an_order_that_was_revoked_is_no_referral(server_here: str) -> None:
    revoked = service_request("ckd-uacr", "Referral to nephrology", "revoked")
    assert only_card(answer(server_here, *KIDNEY, added("tests", revoked)))


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


@pytest.mark.parametrize("code", ["C15.9", "C79.51", "F03.C0"])
def test_lipids_are_not_asked_for_where_a_result_would_change_nothing(server_here: str, code: str) -> None:
    def older(request: dict[str, Any]) -> None:
        request["prefetch"]["patient"]["birthDate"] = ago(77 * 366)

    ill = added("conditions", condition("diabetes-no-statin", code))
    answered = answer(server_here, *STATIN, older, visit("diabetes-no-statin"), without("2093-3", "2085-9"), ill)
    assert reasons(answered)[0] in ("input-missing", "outside-population")
    assert "worklist" not in ours(answered)


def test_a_missing_test_outside_a_visit_is_kept_for_the_worklist(server_here: str) -> None:
    assert reasons(answer(server_here, *KIDNEY, without("9318-7"))) == ["worklist"]


def test_a_missing_test_that_is_ordered_already_is_not_offered_again(server_here: str) -> None:
    ordered = service_request("ckd-uacr", "UACR")
    ordered["code"] = {"coding": [{"system": "http://loinc.org", "code": "9318-7"}]}
    answered = answer(server_here, *KIDNEY, without("9318-7"), added("tests", ordered))
    assert reasons(answered) == ["input-missing"]


def test_a_missing_test_that_could_change_nothing_is_not_offered(server_here: str) -> None:
    """A healthy woman of 45 stays below every band whatever her lipids are."""
    assert reasons(answer(server_here, "statin-discussion", "healthy-adult", without("2093-3", "2085-9"))) == [
        "input-missing"
    ]


def test_the_site_chooses_the_threshold_and_the_region(server_here: str, tmp_path: Path) -> None:
    risky = valued("9318-7", 60, "mg/g")
    low = only_card(answer(server_here, *KIDNEY, risky))["extension"]["org.cds-hooks-onnx"]
    assert 0.03 <= low["probability"] < 0.05
    assert reasons(answer_of_site(tmp_path, *KIDNEY, risky, referral_risk=0.05)) == ["below-threshold"]
    elsewhere = only_card(answer_of_site(tmp_path, *KIDNEY, kfre_region="non_north_america"))
    here = only_card(answer(server_here, *KIDNEY))
    said = [card["extension"]["org.cds-hooks-onnx"] for card in (elsewhere, here)]
    assert said[0]["probability"] < said[1]["probability"]
    assert said[0]["base"] < said[1]["base"]


def test_a_ratio_in_mg_per_mmol_is_converted(server_here: str) -> None:
    grams = only_card(answer(server_here, *KIDNEY, valued("9318-7", 353.6, "mg/g")))
    moles = only_card(answer(server_here, *KIDNEY, valued("9318-7", 40, "mg/mmol")))
    risks = [card["extension"]["org.cds-hooks-onnx"]["probability"] for card in (grams, moles)]
    assert risks[0] == pytest.approx(risks[1], rel=1e-9)


def test_liver_tests_more_than_three_months_apart_are_not_combined(server_here: str) -> None:
    def older(request: dict[str, Any]) -> None:
        for resource in resources(request):
            if any(coding.get("code") == "777-3" for coding in resource.get("code", {}).get("coding", [])):
                resource["effectiveDateTime"] = ago(200)

    answered = answer(server_here, *LIVER, older)
    assert reasons(answered) == ["input-missing"]
    assert "3 months apart" in ours(answered)["silence"][0]["text"]


def test_the_bleeding_score_stands_beside_with_what_it_counted(server_here: str) -> None:
    card = only_card(answer(server_here, *AF))
    assert "**HAS-BLED 2 of 9** (stroke before, age over 65)" in card["detail"]
    assert "**Not found in the chart, so counted as no:** heart failure, vascular disease." in card["detail"]
    (beside,) = card["extension"]["org.cds-hooks-onnx"]["beside"]
    assert (beside["model"]["id"], beside["value"]) == ("has_bled", 2)


def test_who_does_not_go_home_is_not_scored(server_here: str) -> None:
    def to_hospice(request: dict[str, Any]) -> None:
        for resource in resources(request):
            if resource["resourceType"] == "Encounter" and resource["id"] == "going-home-encounter-5":
                resource["hospitalization"]["dischargeDisposition"] = {"coding": [{"code": "hosp"}]}

    assert reasons(answer(server_here, *HOME, to_hospice)) == ["outside-population"]


def test_without_one_score_the_other_speaks(server_here: str) -> None:
    card = only_card(answer(server_here, *HOME, without("718-7")))
    assert card["extension"]["org.cds-hooks-onnx"]["model"]["id"] == "lace"
    assert card["summary"].startswith("LACE index 10")
    assert "About **12 in 100** people with this score are expected to die or to come back" in card["detail"]


def test_laboratory_values_from_before_the_stay_are_not_those_of_the_discharge(server_here: str) -> None:
    def long_ago(request: dict[str, Any]) -> None:
        for resource in resources(request):
            if any(coding.get("code") == "718-7" for coding in resource.get("code", {}).get("coding", [])):
                resource["effectiveDateTime"] = ago(90)

    card = only_card(answer(server_here, *HOME, long_ago))
    assert card["extension"]["org.cds-hooks-onnx"]["model"]["id"] == "lace"


def test_the_follow_up_is_due_within_a_week_and_belongs_to_the_stay(server_here: str) -> None:
    card = only_card(answer(server_here, *HOME))
    drafted = card["suggestions"][0]["actions"][0]["resource"]
    assert drafted["occurrenceDateTime"] == (NOW + timedelta(days=7)).date().isoformat()
    assert drafted["encounter"]["reference"] == "Encounter/going-home-encounter-5"
    assert "**LACE index 10** (high)." in card["detail"]


def test_nothing_of_the_chart_becomes_markup(server_here: str) -> None:
    def marked(request: dict[str, Any]) -> None:
        for resource in resources(request):
            if resource["resourceType"] == "Condition":
                resource["code"]["text"] = "<img src=x onerror=alert(1)> [x](https://evil.test) **bold**"

    card = only_card(answer(server_here, *AF, marked))
    assert "<img" not in card["detail"]
    assert "](https://evil" not in card["detail"]


@pytest.mark.parametrize(("deaths", "is_offered"), [(49, True), (50, False), (None, True)])
def test_a_talk_about_prevention_is_not_offered_with_a_short_outlook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int | None, is_offered: bool
) -> None:
    async def likely(_call: object) -> int | None:
        return deaths

    monkeypatch.setattr(statin_discussion, "likely_deaths", likely)
    answered = answer_of_site(tmp_path, *STATIN)
    assert bool(answered.json()["cards"]) is is_offered
    assert is_offered or "outside-population" in reasons(answered)
