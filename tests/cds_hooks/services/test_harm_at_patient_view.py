"""Advice at patient-view that could harm: bleeding, a prognosis that knows no diagnoses, an index in acute illness."""

from pathlib import Path

import pytest

from tests.cds_hooks.services.equation_calls import (
    Change,
    added,
    ago,
    answer,
    answer_of_site,
    condition,
    only_card,
    order,
    reasons,
    valued,
    without,
)
from tests.fhir.builders import encounter, observation, procedure

AF, AF_SERVICE = "af-no-anticoagulant", "anticoagulation-discussion"
LIVER, LIVER_SERVICE = "fatty-liver", "liver-assessment"
LABORATORY = {"category": [{"coding": [{"code": "laboratory"}]}]}


def _result(sample: str, code: str, value: float, unit: str, days: int = 5) -> Change:
    return added("labs", observation(code, value, unit, ago(days), patient=sample, id=f"added-{code}", **LABORATORY))


def _procedure(sample: str, words: str, *codes: tuple[str, str]) -> Change:
    code = {"text": words, "coding": [{"system": system, "code": code} for system, code in codes]}
    return added("procedures", procedure(code, when=ago(40), patient=sample, id="added-procedure"))


CPT = "http://www.ama-assn.org/go/cpt"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (added("conditions", condition(AF, "I61.9")), "contraindicated"),
        (added("conditions", condition(AF, "S06.5X0A")), "contraindicated"),
        (added("conditions", condition(AF, "K92.2")), "contraindicated"),
        (_result(AF, "718-7", 6.9, "g/dL"), "contraindicated"),
        (_result(AF, "777-3", 22, "10*3/uL"), "contraindicated"),
        (_procedure(AF, "Heart procedure", (CPT, "33340")), "already-done"),
        (_procedure(AF, "Percutaneous occlusion of left atrial appendage"), "already-done"),
        (_procedure(AF, "Admission to hospice"), "palliative"),
    ],
)
def test_the_talk_about_an_anticoagulant_is_not_suggested_where_it_could_harm(
    server_here: str, change: Change, reason: str
) -> None:
    assert reason in reasons(answer(server_here, AF_SERVICE, AF, change))


def test_blood_counts_that_are_low_but_not_very_low_do_not_silence_the_talk(server_here: str) -> None:
    answered = answer(
        server_here, AF_SERVICE, AF, _result(AF, "718-7", 8.0, "g/dL"), _result(AF, "777-3", 50, "10*3/uL")
    )
    assert "CHA2DS2-VASc 7" in only_card(answered)["summary"]


def test_a_stopped_anticoagulant_is_named_with_its_date(server_here: str) -> None:
    stopped = {**order(AF, "11289", "warfarin"), "status": "stopped"}
    card = only_card(answer(server_here, AF_SERVICE, AF, added("medications", stopped)))
    assert f"warfarin stopped (ordered {ago(50)})" in card["summary"].lower()
    assert "none found" not in card["summary"]


@pytest.mark.parametrize("code", ["Z95.2", "I05.0"])
def test_a_valve_that_needs_warfarin_speaks_for_warfarin(server_here: str, code: str) -> None:
    card = only_card(answer(server_here, AF_SERVICE, AF, added("conditions", condition(AF, code))))
    assert "warfarin" in card["summary"]
    assert "2023" in card["source"]["label"]
    assert f"condition {code}" in card["detail"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (valued("1742-6", 800), "excluded"),
        (valued("1920-8", 201), "excluded"),
        (added("conditions", {**condition(LIVER, "B16.9"), "recordedDate": ago(20)}), "excluded"),
        (added("conditions", {**condition(LIVER, "I21.4"), "recordedDate": ago(20)}), "excluded"),
        (added("conditions", {**condition(LIVER, "M62.82"), "recordedDate": ago(20)}), "excluded"),
        (added("conditions", {**condition(LIVER, "A41.9"), "recordedDate": ago(20)}), "excluded"),
        (added("conditions", condition(LIVER, "D69.3")), "excluded"),
        (added("conditions", {**condition(LIVER, "Z51.11"), "recordedDate": ago(20)}), "excluded"),
    ],
)
def test_fib4_says_nothing_in_acute_illness(server_here: str, change: Change, reason: str) -> None:
    assert reason in reasons(answer(server_here, LIVER_SERVICE, LIVER, change))


def test_sepsis_of_long_before_does_not_silence_fib4(server_here: str) -> None:
    past = {**condition(LIVER, "A41.9"), "recordedDate": ago(800)}
    assert only_card(answer(server_here, LIVER_SERVICE, LIVER, added("conditions", past)))


PLANNING, TALK = "planning-talk", "planning-conversation"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (added("conditions", condition(PLANNING, "C92.00")), "outside-population"),
        (added("conditions", condition(PLANNING, "Z66")), "already-done"),
        (_procedure(PLANNING, "Visit", (CPT, "99497")), "already-done"),
        (_procedure(PLANNING, "POLST form completed"), "already-done"),
        (_procedure(PLANNING, "Health care proxy named"), "already-done"),
    ],
)
def test_no_prognosis_where_a_diagnosis_decides_or_the_talk_was_held(
    tmp_path: Path, change: Change, reason: str
) -> None:
    assert reason in reasons(answer_of_site(tmp_path, TALK, PLANNING, change))


@pytest.mark.parametrize(
    ("code", "guideline"), [("C78.7", "ASCO"), ("F03.C0", "NICE QS184"), ("Z99.2", "Renal Physicians Association")]
)
def test_the_sickest_are_offered_the_talk_without_a_number(tmp_path: Path, code: str, guideline: str) -> None:
    added_problem = added("conditions", condition(PLANNING, code))
    (card,) = answer_of_site(tmp_path, TALK, PLANNING, added_problem).json()["cards"]
    assert guideline in card["source"]["label"]
    assert "in 100" not in card["detail"]
    assert card["extension"]["org.cds-hooks-onnx"]["facts"][0]["source"].startswith("Condition/")
    (offer,) = card["suggestions"]
    assert offer["actions"][0]["resource"]["code"]["text"].startswith("Planning conversation")


def test_values_of_a_stay_in_hospital_and_of_two_weeks_after_it_are_not_used(tmp_path: Path) -> None:
    def stay(first: int, last: int) -> Change:
        visit = encounter(
            "IMP", "finished", patient=PLANNING, id="added-stay", period={"start": ago(first), "end": ago(last)}
        )
        return added("encounters", visit)

    silent = answer_of_site(tmp_path, TALK, PLANNING, stay(40, 25))
    assert "too-few-inputs" in reasons(silent)
    only_card(answer_of_site(tmp_path, TALK, PLANNING, stay(90, 80)))


STATIN, STATIN_SERVICE = "diabetes-no-statin", "statin-discussion"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (added("conditions", condition(STATIN, "I25.10")), "atherosclerotic disease"),
        (added("conditions", condition(STATIN, "E78.01")), "amilial hypercholesterolaemia"),
        (added("conditions", condition(STATIN, "B20")), "HIV, age"),
        (_result(STATIN, "13457-7", 190, "mg/dL"), "LDL cholesterol 190 mg/dL"),
    ],
)
def test_a_guideline_names_a_statin_without_a_score(tmp_path: Path, change: Change, words: str) -> None:
    card = only_card(answer_of_site(tmp_path, STATIN_SERVICE, STATIN, change))
    assert words in card["summary"]
    assert "20" in card["source"]["label"]
    assert card["extension"]["org.cds-hooks-onnx"]["facts"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (added("conditions", condition(STATIN, "C78.7")), "outside-population"),
        (added("conditions", condition(STATIN, "T46.6X5A")), "contraindicated"),
        (added("medications", order(STATIN, "0", "evolocumab 140 mg injection")), "already-done"),
    ],
)
def test_a_statin_is_not_discussed_where_it_was_not_tolerated_or_has_no_place(
    server_here: str, change: Change, reason: str
) -> None:
    assert reason in reasons(answer(server_here, STATIN_SERVICE, STATIN, change))


@pytest.mark.parametrize(("code", "stage"), [("N18.4", "4"), ("N18.5", "5")])
def test_stage_4_or_5_on_the_problem_list_without_a_value_is_referred(server_here: str, code: str, stage: str) -> None:
    """KDIGO 2012, 5.1.1: referral in GFR categories G4 and G5."""
    listed = (without("2160-0", "9318-7"), added("conditions", condition("ckd-uacr", code)))
    card = only_card(answer(server_here, "nephrology-referral", "ckd-uacr", *listed))
    assert card["summary"].startswith(f"Kidney disease stage {stage} on the problem list")
    assert [each["label"] for each in card["suggestions"]] == ["Refer to nephrology", "Order basic metabolic panel"]
    (fact,) = card["extension"]["org.cds-hooks-onnx"]["facts"]
    assert (fact["name"], fact["value"]) == ("ckd_stage", float(stage))


@pytest.mark.parametrize("code", ["N18.30", "N18.6"])
def test_stage_3_and_dialysis_are_not_referred_by_the_stage(server_here: str, code: str) -> None:
    listed = (without("2160-0", "9318-7"), added("conditions", condition("ckd-uacr", code)))
    assert reasons(answer(server_here, "nephrology-referral", "ckd-uacr", *listed))


def test_stage_4_with_a_good_value_of_this_year_is_judged_by_the_value(server_here: str) -> None:
    listed = (valued("2160-0", 1.0), added("conditions", condition("ckd-uacr", "N18.4")))
    answered = answer(server_here, "nephrology-referral", "ckd-uacr", *listed)
    assert all("on the problem list" not in card["summary"] for card in answered.json()["cards"])
