"""Patients whom the samples do not have: how their charts are written must not decide what is said of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cds_hooks.calls import ours
from tests.cds_hooks.services.equation_calls import (
    NOW,
    Change,
    added,
    ago,
    answer,
    condition,
    only_card,
    order,
    reasons,
    resources,
    service_request,
    valued,
    without,
)

STATIN = ("statin-discussion", "diabetes-no-statin")
KIDNEY = ("nephrology-referral", "ckd-uacr")
AF = ("anticoagulation-discussion", "af-no-anticoagulant")
LIVER = ("liver-assessment", "fatty-liver")
HOME = ("discharge-follow-up", "going-home")
CPT = "http://www.ama-assn.org/go/cpt"


def said(answered: Any) -> str:
    """The sentences of a silent answer."""
    return " ".join(each["text"] for each in ours(answered)["silence"])


def changed(kind: str, change: Callable[[dict[str, Any]], None], code: str = "") -> Change:
    """Changes every resource of a type, of a code where one is given."""

    def change_all(request: dict[str, Any]) -> None:
        for resource in resources(request):
            codes = {coding.get("code") for coding in (resource.get("code") or {}).get("coding", [])}
            if resource["resourceType"] == kind and (not code or code in codes):
                change(resource)

    return change_all


def born(years: int) -> Change:
    """The patient as somebody of so many years."""

    def change(request: dict[str, Any]) -> None:
        request["prefetch"]["patient"]["birthDate"] = ago(years * 366)

    return change


def worded(sample: str, words: str, **more: Any) -> dict[str, Any]:
    """A condition that is charted in words alone."""
    made = condition(sample, "X")
    return {**made, "id": "in-words", "code": {"text": words}, **more}


def visit_of(sample: str, words: str, status: str, days_ago: int, **more: Any) -> dict[str, Any]:
    """A visit whose type has these words."""
    return {
        "resourceType": "Encounter",
        "id": "added-visit",
        "status": status,
        "class": {"code": "AMB"},
        "type": [{"text": words}],
        "subject": {"reference": f"Patient/{sample}"},
        "period": {"start": ago(days_ago)},
        **more,
    }


def procedure(sample: str, words: str, status: str = "completed", **coding: str) -> dict[str, Any]:
    """A procedure of a month ago."""
    return {
        "resourceType": "Procedure",
        "id": "added-procedure",
        "status": status,
        "code": {"text": words, **({"coding": [coding]} if coding else {})},
        "subject": {"reference": f"Patient/{sample}"},
        "performedDateTime": ago(30),
    }


@pytest.mark.parametrize(
    ("unit", "value"),
    [("mg/g{creat}", 353.6), ("mg/g creat", 353.6), ("mg/mmol{creat}", 40.0), ("mg/mmol Cr", 40.0), ("mcg/mg", 353.6)],
)
def test_a_ratio_of_albumin_is_read_in_the_units_of_laboratories(server_here: str, unit: str, value: float) -> None:
    plain = only_card(answer(server_here, *KIDNEY, valued("9318-7", 353.6, "mg/g")))
    other = only_card(answer(server_here, *KIDNEY, valued("9318-7", value, unit)))
    risks = [card["extension"]["org.cds-hooks-onnx"]["probability"] for card in (plain, other)]
    assert risks[0] == pytest.approx(risks[1], rel=1e-6)


@pytest.mark.parametrize(
    ("words", "smokes"),
    [
        ("Current every day smoker", True),
        ("Current Some Day Smoker", True),
        ("Former smoker", False),
        ("Non-smoker", False),
    ],
)
def test_an_answer_about_smoking_in_words_is_read(server_here: str, words: str, smokes: bool) -> None:
    card = only_card(answer(server_here, *STATIN, added("tobacco", smoking_answer(words))))
    found = {one["feature"]: one["value"] for one in card["extension"]["org.cds-hooks-onnx"]["contributions"]}
    assert found["current_smoker"] == float(smokes)
    assert "current_smoker" not in card["extension"]["org.cds-hooks-onnx"]["not_found"]


def smoking_answer(words: str, days_ago: int = 1) -> dict[str, Any]:
    """An answer to LOINC 72166-2 that has no code."""
    return {
        "resourceType": "Observation",
        "id": "added-answer",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "72166-2"}]},
        "subject": {"reference": "Patient/diabetes-no-statin"},
        "effectiveDateTime": ago(days_ago),
        "valueCodeableConcept": {"text": words},
    }


@pytest.mark.parametrize(
    ("answered", "sentence"),
    [
        (smoking_answer("Current every day smoker", 800), "older than 730 days"),
        (smoking_answer("Vapes on weekends"), "is not understood"),
    ],
)
def test_an_answer_about_smoking_that_cannot_be_used_is_no_no(
    server_here: str, answered: dict[str, Any], sentence: str
) -> None:
    """At 77 diabetes alone is no indication, so that the score decides."""
    silent = answer(server_here, *STATIN, born(77), without("72166-2"), added("tobacco", answered))
    assert reasons(silent) == ["input-missing"]
    assert sentence in said(silent)


def test_everything_that_is_missing_is_named(server_here: str) -> None:
    silent = answer(server_here, *STATIN, born(77), without("2093-3", "2085-9", "8480-6", "85354-9"))
    assert reasons(silent) == ["input-missing"]
    for words in ("Cholesterol, total", "HDL cholesterol", "Systolic pressure"):
        assert words in said(silent)


@pytest.mark.parametrize("words", ["Urine albumin/creatinine ratio", "UACR", "Microalbumin/creat, random urine"])
def test_a_test_that_is_ordered_in_words_is_not_offered_again(server_here: str, words: str) -> None:
    ordered = service_request("ckd-uacr", words)
    assert reasons(answer(server_here, *KIDNEY, without("9318-7"), added("tests", ordered))) == ["input-missing"]


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


def test_an_adrenal_clinic_is_no_renal_clinic(server_here: str) -> None:
    visit = visit_of("ckd-uacr", "Adrenal clinic", "finished", 10)
    assert only_card(answer(server_here, *KIDNEY, added("encounters", visit)))


@pytest.mark.parametrize(
    ("done", "is_assessment"),
    [
        (procedure("fatty-liver", "Ultrasound elastography of breast"), False),
        (procedure("fatty-liver", "Liver elastography", "stopped"), False),
        (procedure("fatty-liver", "Percutaneous biopsy of liver"), True),
        (procedure("fatty-liver", "", system=CPT, code="91200"), True),
        (procedure("fatty-liver", "Transient elastography"), True),
    ],
)
def test_only_an_examination_of_the_liver_is_one(server_here: str, done: dict[str, Any], is_assessment: bool) -> None:
    answered = answer(server_here, *LIVER, added("procedures", done))
    assert bool(answered.json()["cards"]) is not is_assessment


@pytest.mark.parametrize("words", ["NASH", "Hepatic steatosis", "Class 2 obesity", "Steatosis of liver"])
def test_a_reason_for_the_liver_index_may_be_in_words(server_here: str, words: str) -> None:
    def unlisted(request: dict[str, Any]) -> None:
        request["prefetch"]["conditions"] = {"resourceType": "Bundle", "type": "searchset", "entry": []}

    assert reasons(answer(server_here, *LIVER, unlisted)) == ["outside-population"]
    assert only_card(answer(server_here, *LIVER, unlisted, added("conditions", worded("fatty-liver", words))))


def test_an_order_or_a_talk_about_closing_the_appendage_does_not_close_it(server_here: str) -> None:
    words = "Left atrial appendage closure (Watchman)"
    assert only_card(answer(server_here, *AF, added("tests", service_request("af-no-anticoagulant", words))))
    prepared = procedure("af-no-anticoagulant", words, "preparation")
    assert only_card(answer(server_here, *AF, added("procedures", prepared)))
    done = added("procedures", procedure("af-no-anticoagulant", words))
    assert reasons(answer(server_here, *AF, done)) == ["already-done"]
    listed = worded("af-no-anticoagulant", "Presence of Watchman left atrial appendage closure device")
    assert reasons(answer(server_here, *AF, added("conditions", listed))) == ["already-done"]


@pytest.mark.parametrize(
    ("words", "summary", "detail"),
    [
        ("Mechanical aortic valve", "with a mechanical valve", "a direct oral anticoagulant (DOAC) is not."),
        ("Presence of prosthetic heart valve", "with a prosthetic heart valve", "see which one it is"),
        ("S/P TAVR", "CHA2DS2-VASc", "CHA2DS2-VASc"),
        ("Bioprosthetic aortic valve", "CHA2DS2-VASc", "CHA2DS2-VASc"),
    ],
)
def test_warfarin_is_for_the_mechanical_valve(server_here: str, words: str, summary: str, detail: str) -> None:
    valve = condition("af-no-anticoagulant", "Z95.2")
    valve["code"]["text"] = words
    card = only_card(answer(server_here, *AF, added("conditions", valve)))
    assert summary in card["summary"]
    assert detail in card["detail"]
    assert ("arfarin" in card["summary"]) is ("CHA2DS2" not in summary)


def test_a_tentative_fibrillation_is_no_diagnosis_and_flutter_has_its_own_name(server_here: str) -> None:
    def tentative(resource: dict[str, Any]) -> None:
        resource["verificationStatus"] = {"coding": [{"code": "provisional"}]}

    silent = answer(server_here, *AF, changed("Condition", tentative))
    assert reasons(silent) == ["outside-population"]
    assert "as provisional only" in said(silent)

    def flutter(resource: dict[str, Any]) -> None:
        text = " ".join([resource["code"].get("text", ""), str(resource["code"].get("coding"))]).lower()
        if "fibrillation" in text:
            coding = {
                "system": "http://hl7.org/fhir/sid/icd-10-cm",
                "code": "I48.3",
                "display": "Typical atrial flutter",
            }
            resource["code"] = {"coding": [coding], "text": "Typical atrial flutter"}

    assert only_card(answer(server_here, *AF, changed("Condition", flutter)))["summary"].startswith("Atrial flutter,")


def test_a_medicine_without_a_name_may_be_the_anticoagulant(server_here: str) -> None:
    nameless = {
        "resourceType": "MedicationRequest",
        "id": "nameless",
        "status": "active",
        "intent": "order",
        "medicationReference": {"reference": "Medication/not-sent"},
        "subject": {"reference": "Patient/af-no-anticoagulant"},
        "authoredOn": ago(20),
    }
    assert reasons(answer(server_here, *AF, added("medications", nameless))) == ["input-missing"]
    named = {**nameless, "medicationReference": {"reference": "Medication/not-sent", "display": "metformin 500 mg"}}
    assert only_card(answer(server_here, *AF, added("medications", named)))


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


@pytest.mark.parametrize(
    ("diagnosis", "points"),
    [
        (condition("af-no-anticoagulant", "I74.3"), 2),
        (condition("af-no-anticoagulant", "G45.9"), 2),
        (condition("af-no-anticoagulant", "G45.4"), 0),
        (condition("af-no-anticoagulant", "I82.409"), 0),
    ],
    ids=["arterial embolism", "TIA", "global amnesia", "a clot in a vein"],
)
def test_an_embolism_of_an_artery_counts_as_a_stroke_does(
    server_here: str, diagnosis: dict[str, Any], points: int
) -> None:
    def only_fibrillation(request: dict[str, Any]) -> None:
        entries = request["prefetch"]["conditions"]["entry"]
        request["prefetch"]["conditions"]["entry"] = [one for one in entries if "ibrillation" in str(one["resource"])]

    base, more = (
        only_card(answer(server_here, *AF, only_fibrillation, *added_too))["extension"]["org.cds-hooks-onnx"]["value"]
        for added_too in ((), (added("conditions", diagnosis),))
    )
    assert more - base == points


def test_an_earlier_stay_without_an_end_does_not_swallow_this_one(server_here: str) -> None:
    earlier = visit_of("going-home", "Inpatient stay", "finished", 200)
    earlier["class"] = {"code": "IMP"}
    assert only_card(answer(server_here, *HOME, added("encounters", earlier)))


@pytest.mark.parametrize(
    ("pair", "drug", "code", "words"),
    [
        (STATIN, "atorvastatin", "83367", "Statin declined"),
        (AF, "apixaban", "1364430", "Patient refuses anticoagulation"),
    ],
    ids=["statin", "anticoagulant"],
)
def test_what_is_declined_is_not_discussed(
    server_here: str, pair: tuple[str, str], drug: str, code: str, words: str
) -> None:
    unwanted = {**order(pair[1], code, drug), "doNotPerform": True}
    assert reasons(answer(server_here, *pair, added("medications", unwanted))) == ["declined"]
    long_ago = {**unwanted, "authoredOn": ago(400)}
    assert only_card(answer(server_here, *pair, added("medications", long_ago)))
    listed = worded(pair[1], words)
    assert reasons(answer(server_here, *pair, added("conditions", listed))) == ["declined"]
    other = worded(pair[1], "Influenza vaccine declined")
    assert only_card(answer(server_here, *pair, added("conditions", other)))


def test_ast_of_a_haemolysed_sample_is_not_used(server_here: str) -> None:
    def haemolysed(resource: dict[str, Any]) -> None:
        resource["note"] = [{"text": "Specimen hemolyzed"}]

    silent = answer(server_here, *LIVER, changed("Observation", haemolysed, "1920-8"))
    assert "is from a haemolysed sample" in said(silent)
    assert silent.json()["cards"] == [] or "FIB-4 for liver fibrosis cannot" in silent.json()["cards"][0]["summary"]


def test_the_place_of_a_visit_says_who_saw_the_patient(server_here: str) -> None:
    place = [{"location": {"display": "Nephrology Clinic, 2nd floor"}}]
    visit = visit_of("ckd-uacr", "Office visit", "finished", 10, location=place)
    assert reasons(answer(server_here, *KIDNEY, added("encounters", visit))) == ["already-done"]


@pytest.mark.parametrize(
    ("words", "is_harm"),
    [
        ("Statin intolerance", True),
        ("Statin-induced myopathy", True),
        ("Intolerance to atorvastatin", True),
        ("Myalgia due to statin", True),
        ("No statin intolerance", False),
        ("Family history of statin intolerance", False),
        ("Myalgia", False),
    ],
)
def test_harm_by_a_statin_may_be_in_words_under_a_code_that_says_nothing(
    server_here: str, words: str, is_harm: bool
) -> None:
    problem = condition("diabetes-no-statin", "Z78.9")
    problem["code"]["text"] = words
    answered = answer(server_here, *STATIN, added("conditions", problem))
    assert (not answered.json()["cards"]) is is_harm
    if is_harm:
        assert reasons(answered) == ["contraindicated"]


@pytest.mark.parametrize("words", ["HMG-CoA Reductase Inhibitors", "Statins-HMG-CoA Reductase Inhibitors", "Statins"])
def test_a_reaction_to_statins_may_be_to_the_class_by_its_long_name(server_here: str, words: str) -> None:
    allergy = {
        "resourceType": "AllergyIntolerance",
        "id": "to-the-class",
        "patient": {"reference": "Patient/diabetes-no-statin"},
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"text": words},
    }
    assert reasons(answer(server_here, *STATIN, added("allergies", allergy))) == ["contraindicated"]


def test_the_talk_with_somebody_who_had_an_infarction_is_not_about_primary_prevention(server_here: str) -> None:
    infarction = added("conditions", condition("diabetes-no-statin", "I25.2"))
    card = only_card(answer(server_here, *STATIN, infarction))
    drafted = card["suggestions"][0]["actions"][0]["resource"]["code"]["text"]
    assert drafted == "Shared decision: statin in atherosclerotic disease"
    planned = service_request("diabetes-no-statin", drafted)
    assert reasons(answer(server_here, *STATIN, infarction, added("tests", planned))) == ["already-done"]


def test_an_abbreviation_keeps_its_capitals_beside_the_score(server_here: str) -> None:
    aspirin = order("af-no-anticoagulant", "1191", "aspirin 81 MG Oral Tablet")
    card = only_card(answer(server_here, *AF, added("medications", aspirin)))
    assert "antiplatelet or NSAID" in card["detail"]
