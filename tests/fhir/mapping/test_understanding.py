"""What is read of one resource: each type, what its status and its text say, and what is not understood."""

import gzip
import json
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.conditions import unread_problems
from fhir.mapping.understanding import READ_KINDS, Understanding, understand
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import record_of

_SNOMED, _ICD10 = "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _answer(loinc: str, answer: str) -> dict[str, Any]:
    return {"code": _coded("http://loinc.org", loinc), "valueString": answer}


def _of(kind: str, **elements: Any) -> Any:
    return understand({"resourceType": kind, "id": "1", **elements})


@for_rows(
    ("kind", "elements", "group"),
    [
        ("Condition", {"code": {"coding": [{"system": _SNOMED, "code": "84114007"}]}}, "hf"),
        ("Condition", {"code": {"coding": [{"system": "https://snomed.info/sct|2024", "code": "84114007"}]}}, "hf"),
        ("Condition", {"code": {"coding": [{"system": _SNOMED, "code": "84114007:246112005=24484000"}]}}, "hf"),
        ("Condition", {"code": {"coding": [{"system": "urn:site", "code": "X1"}], "text": "CHF"}}, "hf"),
        ("Condition", {"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-am", "code": "I50.9"}]}}, "hf"),
        ("Condition", {"code": {"coding": [{"system": _SNOMED, "code": "1", "display": "Gout of toe"}]}}, "gout"),
        ("Condition", {"code": {"text": "h/o MI"}}, "myocardial_infarction"),
        ("Procedure", {"status": "completed", "code": {"text": "CABG x3"}}, "cabg"),
        (
            "Procedure",
            {"status": "completed", "code": {"text": "Mastectomy"}, "bodySite": [{"text": "Left breast"}]},
            "breast_absent_left",
        ),
        ("Device", {"type": {"text": "Dual chamber pacemaker"}}, "pacemaker"),
        ("Device", {"deviceName": [{"name": "Dual chamber pacemaker"}]}, "pacemaker"),
        ("Flag", {"status": "active", "code": {"text": "DNR"}}, "do_not_resuscitate"),
        ("CarePlan", {"status": "active", "title": "Hospice care plan"}, "hospice"),
        (
            "CarePlan",
            {"status": "active", "activity": [{}, {"detail": {"code": {"text": "Hospice care"}}}]},
            "hospice",
        ),
        (
            "Consent",
            {"status": "active", "provision": {"code": [{"text": "Do not resuscitate"}]}},
            "do_not_resuscitate",
        ),
        ("Consent", {"status": "active", "category": [{"text": "Do not resuscitate"}]}, "do_not_resuscitate"),
        ("Coverage", {"status": "active", "type": {"text": "Medicare Hospice"}}, "hospice"),
        ("Goal", {"description": {"text": "Control of type 2 diabetes"}}, "dm2"),
        ("DocumentReference", {"type": {"text": "Advance directive"}}, "advance_care_planning"),
        ("Coverage", {"status": "active", "class": [{"name": "Medicare Hospice"}]}, "hospice"),
        ("Encounter", {"status": "finished", "reasonCode": [{}, {"text": "Atrial fibrillation"}]}, "afib"),
        ("ServiceRequest", {"status": "active", "reasonCode": [{"text": "Stroke 2015"}]}, "stroke"),
    ],
)
def test_a_group_is_read_where_the_fact_stands(kind: str, elements: dict[str, Any], group: str) -> None:
    reading = _of(kind, **elements)
    assert group in reading.groups
    assert reading.words.strip("; ") == reading.words
    assert reading.understood
    assert reading.resource == f"{kind}/1"


@for_rows(
    ("kind", "elements", "assertion"),
    [
        ("Condition", {"code": {"text": "No evidence of stroke"}}, "negated"),
        ("Condition", {"code": {"text": "Family history of stroke"}}, "family"),
        ("Condition", {"code": {"text": "?stroke"}}, "possible"),
        ("Condition", {"code": {"text": "Stroke"}, "verificationStatus": {"coding": [{"code": "refuted"}]}}, "negated"),
        ("Procedure", {"status": "not-done", "code": {"text": "CABG"}}, "negated"),
        ("Procedure", {"status": "preparation", "code": {"text": "CABG"}}, "hypothetical"),
        ("FamilyMemberHistory", {"condition": [{"code": {"text": "Stroke"}}]}, "family"),
        ("Observation", {"status": "final", "code": {"text": "Stroke"}, "valueBoolean": False}, "negated"),
        ("Observation", {"status": "final", **_answer("86645-9", "Pregnant")}, "hypothetical"),
        ("Observation", {"status": "final", **_answer("72166-2", "Unknown")}, "affirmed"),
        ("Condition", {"code": _coded("http://hl7.org/fhir/sid/icd-9-cm", "45.82")}, "affirmed"),  # of procedures
    ],
)
def test_what_is_not_of_the_patient_now_means_no_group(kind: str, elements: dict[str, Any], assertion: str) -> None:
    reading = _of(kind, **elements)
    assert reading.groups == ()
    assert reading.assertion == assertion


def test_a_vaccine_that_was_not_given_means_no_family() -> None:
    reading = _of("Immunization", status="not-done", vaccineCode={"text": "Shingrix"})
    assert (reading.vaccine_families, reading.assertion, reading.understood) == ((), "negated", True)
    assert _of("Immunization", status="completed", vaccineCode={"text": "Shingrix"}).vaccine_families == ("Zoster",)


def test_what_nothing_matches_is_not_understood_with_the_reason() -> None:
    reading = _of("Condition", code={"coding": [{"system": _SNOMED, "code": "1"}], "text": "Snorgling"})
    assert (reading.understood, reading.reason) == (False, "no code of the tables and no phrase")
    assert not _of("Condition").understood


@pytest.mark.parametrize("words", ["Asthma club", "podcast asthma", "asthma: album of posters"])
def test_words_that_nothing_accounts_for_beside_a_name_leave_it_unclear(words: str) -> None:
    reading = _of("Condition", code={"text": words})
    assert (reading.groups, reading.assertion, reading.understood) == ((), "unclear", False)
    assert unread_problems(record_of({"resourceType": "Condition", "id": "1", "code": {"text": words}})) == (words,)


def test_an_icd_code_outside_the_groups_is_understood() -> None:
    reading = _of("Condition", code={"coding": [{"system": _ICD10, "code": "J06.9"}]})
    assert (reading.understood, reading.groups) == (True, ())


def test_a_resolved_condition_means_those_groups_for_which_the_past_counts() -> None:
    resolved = {"coding": [{"code": "resolved"}]}
    assert "stroke_tia" in _of("Condition", code={"text": "Stroke"}, clinicalStatus=resolved).groups
    assert _of("Condition", code={"text": "Delirium"}, clinicalStatus=resolved).groups == ()


@for_rows("kind", sorted(READ_KINDS))
@for_rows("value", [None, 1, "text", [], {}, [None], {"coding": [1]}, {"text": 5}, {"coding": [{"code": {}}]}])
def test_no_form_of_an_element_is_an_error(kind: str, value: Any) -> None:
    elements = ("code", "reasonCode", "status", "type", "title", "provision", "condition", "deviceName", "activity")
    for element in elements:
        assert _of(kind, **{element: value}).resource == f"{kind}/1"
        assert _of(kind, medicationCodeableConcept={"text": "aspirin"}, **{element: value}).resource == f"{kind}/1"


@for_rows("words", ["No known allergies", "NKDA", "no latex allergy", "Penicillin allergy ruled out"])
def test_an_entry_that_denies_an_allergy_is_understood(words: str) -> None:
    reading = understand({"resourceType": "AllergyIntolerance", "code": {"text": words}})
    assert (reading.assertion, reading.understood, reading.allergen_classes) == ("negated", True, ())


@pytest.mark.parametrize(("words", "is_understood"), [("Cat dander", True), ("Wasp venom", True), ("Xyzzol", False)])
def test_an_allergen_that_is_no_drug_is_understood_as_none(words: str, is_understood: bool) -> None:
    reading = understand({"resourceType": "AllergyIntolerance", "code": {"text": words}})
    assert (reading.understood, reading.drugs, reading.allergen_classes) == (is_understood, (), ())


@pytest.mark.parametrize("clear", ["metformin", "statins"])
def test_an_allergen_beside_one_that_is_unclear_is_understood(clear: str) -> None:
    reading = understand({"resourceType": "AllergyIntolerance", "code": {"text": f"unclear penicillin; {clear}"}})
    assert (reading.understood, reading.assertion, reading.reason) == (True, "affirmed", "")
    assert "penicillin" not in reading.allergen_classes


def test_a_kind_of_document_is_read_by_its_code() -> None:
    living_will = {"coding": [{"system": "http://loinc.org", "code": "86533-7"}]}
    reading = understand({"resourceType": "DocumentReference", "status": "current", "type": living_will})
    assert (reading.groups, reading.understood) == (("advance_care_planning",), True)


def test_an_order_shows_the_dose_of_a_day_that_was_read_or_why_it_is_not_known() -> None:
    orders = {
        "10 mg BID x 7 days, then 5 mg BID": "apixaban 10 to 20 mg a day",
        "as directed": "dose not known: the words leave the dose open",
    }
    drug = {"text": "apixaban 5 mg tablet"}
    for sig, dose in orders.items():
        assert _of("MedicationRequest", medicationCodeableConcept=drug, dosageInstruction=[{"text": sig}]).dose == dose
    insulin = _of(
        "MedicationRequest", medicationCodeableConcept={"text": "Lantus"}, dosageInstruction=[{"text": "20 units qhs"}]
    )
    assert insulin.dose == "20 unit a day"
    without_time = {"medicationCodeableConcept": {"text": "Lantus"}, "dosageInstruction": [{"text": "20 units"}]}
    assert _of("MedicationRequest", **without_time).dose.startswith("dose not known: ")
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "6809"}
    two_drugs = _of("MedicationRequest", medicationCodeableConcept={"coding": [coding], "text": "warfarin 5 mg tablet"})
    assert two_drugs.reason == "The code means metformin, the words say warfarin."


def test_an_order_of_imaging_or_a_test_says_whether_it_is_recognised() -> None:
    known = _of("ServiceRequest", code={"text": "CT abdomen and pelvis with IV contrast"})
    unknown = _of("ServiceRequest", code={"text": "Sweat chloride iontophoresis"})
    assert known.understood
    assert known.orders
    assert (unknown.understood, unknown.orders) == (False, ())
    assert "no imaging and no test that a rule is about" in unknown.sentence


def test_an_older_form_and_a_result_named_in_words_are_read_as_answers_read_them() -> None:
    coding = {"system": "http://snomed.info/sct", "code": "49436004"}
    problem = {"resourceType": "Condition", "clinicalStatus": "active", "code": {"coding": coding}}
    assert understand(problem).groups == ("afib",)
    result = {
        "resourceType": "Observation", "status": "final", "code": {"text": "sodium level"}, "valueString": "121 mmol/L",
    }  # fmt: skip
    assert understand(result).analyte == "sodium"
    assert understand(result | {"code": {"text": "sodium, urine"}}).analyte is None
    local = {"coding": [{"system": "urn:oid:2.999", "code": "NA1"}], "text": "sodium level"}
    assert understand(result | {"code": local}).reason == "read by its name: no code of it is in the tables"


def test_a_result_of_no_known_test_that_finds_nothing_is_not_understood() -> None:
    assert _of("Observation", status="final", code={"text": "Hello"}) == Understanding(
        resource="Observation/1", understood=False, words="Hello", reason="no test of the tables and no finding"
    )


def test_a_result_of_a_known_test_is_understood_by_its_code() -> None:
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}], "text": "result"}
    assert _of("Observation", status="final", code=code) == Understanding(
        resource="Observation/1", analyte="potassium", understood=True, words="result", by=("our tables, code 2823-3",)
    )


def _loinc(code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code}], "text": text}


def _snomed(code: str) -> dict[str, Any]:
    return {"coding": [{"system": _SNOMED, "code": code}]}


FINAL = {"status": "final"}
_METFORMIN = {"text": "metformin 500 mg tablet"}


@for_rows(
    ("kind", "elements", "sentence"),
    [
        ("Observation", FINAL | {"code": {"text": "BP"}, "component": [{"code": _loinc("8480-6", "upper")}]},
         "Observation/1 (BP): sbp"),
        ("Observation", FINAL | {"code": _loinc("72166-2", "Tobacco"), "valueCodeableConcept": _snomed("449868002")},
         "Observation/1 (Tobacco): tobacco_use, smoking_status"),
        ("Observation", FINAL | {"code": _loinc("72166-2", "Tobacco"), "valueCodeableConcept": _snomed("8517006")},
         "Observation/1 (Tobacco): tobacco_history, smoking_status"),
        ("Observation", FINAL | {"code": _loinc("72166-2", "Tobacco"), "valueCodeableConcept": _snomed("266919005")},
         "Observation/1 (Tobacco): smoking_status [negated]"),
        ("Observation", FINAL | {"code": _loinc("82810-3", "Status"), "valueCodeableConcept": {"text": " Pregnant "}},
         "Observation/1 (Status): pregnancy, pregnancy_signs"),
        ("Observation", FINAL | {"code": _loinc("82810-3", "Status"), "valueCodeableConcept": _loinc("LA15173-0", "x")},
         "Observation/1 (Status): pregnancy, pregnancy_signs"),
        ("Observation", FINAL | {"code": _loinc("82810-3", "Status"), "valueString": "no"},
         "Observation/1 (Status): pregnancy_signs [negated]"),
        ("Observation", FINAL | {"code": _loinc("82810-3", "Status")},
         "Observation/1 (Status): pregnancy_signs"),
        ("Observation", FINAL | {"code": _loinc("11778-8", "EDD"), "valueDateTime": "2027-01-01"},
         "Observation/1 (EDD): pregnancy, pregnancy_signs"),
        ("Observation", FINAL | {"code": {"text": "Gout"}, "valueBoolean": True}, "Observation/1 (Gout): gout"),
        ("Observation", FINAL | {"code": _loinc("2823-3", "K"), "valueQuantity": {"value": 4.1, "unit": "mg/dL"}},
         "Observation/1 (K): not understood: Potassium 4.1 mg/dL is outside the plausible range"),
        ("Observation", FINAL | {"code": _loinc("2823-3", "K"), "valueQuantity": {"value": 16, "unit": "mg/dL"}},
         "Observation/1 (K): potassium"),
        ("Observation", FINAL | {"code": _loinc("95541-9", "Wish"), "valueString": "Prefers palliative care"},
         "Observation/1 (Wish): in none of the groups [hypothetical]"),
        ("Observation", FINAL | {"code": {"text": "Gout"}, "valueBoolean": False},
         "Observation/1 (Gout): in none of the groups [negated]"),
        ("Observation", FINAL | {"code": {"text": "Gout"}},
         "Observation/1 (Gout): not understood: no test of the tables and no finding"),
        ("Observation", FINAL | {"code": {"text": "Finding"}, "valueString": "Gout"}, "Observation/1 (Finding): gout"),
        ("MedicationRequest",
         {"medicationCodeableConcept": _METFORMIN, "dosageInstruction": [{"text": "1 tablet twice daily"}],
          "reasonCode": [{"text": "Gout"}]},
         "MedicationRequest/1 (metformin 500 mg tablet): gout, metformin, metformin 1000 mg a day"),
        ("MedicationStatement", {"medicationCodeableConcept": {"text": "Xyzabloc"}},
         "MedicationStatement/1 (Xyzabloc): not understood: no drug of the tables is named"),
        ("Medication", {"code": _METFORMIN}, "Medication/1 (metformin 500 mg tablet): metformin"),
        ("AllergyIntolerance", {"code": {"text": "latex"}}, "AllergyIntolerance/1 (latex): latex"),
        ("AllergyIntolerance", {"category": ["environment"]},
         "AllergyIntolerance/1: not understood: no drug, class or vaccine of the tables is named"),
        ("AllergyIntolerance", {"code": {"text": "latex"}, "verificationStatus": {"coding": [{"code": "refuted"}]}},
         "AllergyIntolerance/1 (latex): in none of the groups [negated]"),
        ("AllergyIntolerance", {"code": {"text": "NKDA"}},
         "AllergyIntolerance/1 (NKDA): in none of the groups [negated]"),
        ("AllergyIntolerance", {"code": {"text": "snow"}},
         "AllergyIntolerance/1 (snow): not understood: no drug, class or vaccine of the tables is named"),
        ("Immunization", {"status": "completed", "vaccineCode": {"text": "Shingrix"}},
         "Immunization/1 (Shingrix): Zoster"),
        ("Immunization", {"status": "completed", "vaccineCode": {"text": "snow"}},
         "Immunization/1 (snow): not understood: no vaccine of the tables is named"),
        ("Condition", {"code": {"text": "Gout"}, "verificationStatus": {"text": "Entered in error"}},
         "Condition/1 (Gout): in none of the groups [negated]"),
        ("Condition", {"code": {"text": "Gout"}, "verificationStatus": {"coding": [{"code": "provisional"}]}},
         "Condition/1 (Gout): gout [possible]"),
        ("Condition", {"code": {"text": "Gout"}, "clinicalStatus": {"coding": [{"code": "active"}]}},
         "Condition/1 (Gout): gout"),
        ("Condition", {}, "Condition/1: not understood: neither a code nor a text"),
        ("Procedure", {"status": "planned", "code": {"text": "Gout"}},
         "Procedure/1 (Gout): in none of the groups [hypothetical]"),
        ("Goal", {"addresses": [{"display": "Gout"}, {"concept": {"text": "Afib"}, "display": "x"}, {"id": "y"}]},
         "Goal/1 (Gout; Afib): gout, afib"),
        ("Task", {}, "Task/1: not understood: nothing is read of this type of resource"),
    ],
)  # fmt: skip
def test_what_is_understood_is_one_sentence(kind: str, elements: dict[str, Any], sentence: str) -> None:
    assert _of(kind, **elements).sentence == sentence


_SKS, _ICD = "urn:oid:1.2.208.176.2.4.12", "http://hl7.org/fhir/sid/icd-10-cm"
_READ_BY_CODE = [
    ("Condition", {"code": {"coding": [{"system": _SKS, "code": "DN184"}]}}, "ckd4"),
    ("Condition", {"code": {"coding": [{"system": _SNOMED, "code": "1116000"}]}}, "hepatitis_b"),
    ("Condition", {"code": {"text": "Penicillin allergy (anaphylaxis)"}}, "penicillin"),
    ("Condition", {"code": {"coding": [{"system": _ICD, "code": "Z88.0"}]}}, "penicillin"),
    ("AllergyIntolerance", {"code": {"coding": [{"system": _SNOMED, "code": "387458008"}]}}, "salicylate"),
    ("Immunization", {"vaccineCode": {"coding": [{"system": _SNOMED, "code": "871751006"}]}}, "HepA"),
    ("MedicationRequest", {"medicationCodeableConcept": {"coding": [{"system": _SNOMED, "code": "387207008"}]}},
     "ibuprofen"),
]  # fmt: skip


@for_rows(("kind", "elements", "meaning"), _READ_BY_CODE)
def test_a_code_alone_says_what_it_is(kind: str, elements: dict[str, Any], meaning: str) -> None:
    reading = understand({"resourceType": kind, "status": "completed", **elements})
    assert meaning in {*reading.groups, *reading.allergen_classes, *reading.vaccine_families, *reading.drugs}
    assert reading.understood


@for_rows(
    ("code", "wrong"),
    [
        ("236434000", "dialysis"),
        ("266569009", "bph_retention"),
        ("116288000", "stroke_ischaemic"),
        ("441541008", "heart_failure"),
        ("289677009", "pregnancy"),
    ],
)
def test_a_code_whose_name_says_otherwise_is_not_of_the_group(code: str, wrong: str) -> None:
    assert wrong not in understand(builders.problem(code=code, system=_SNOMED, status=None, patient=None)).groups


@for_rows(
    ("words", "group", "assertion"),
    [
        ("Förmaksflimmer", "afib", "affirmed"),
        ("Kronisk nyresvikt", "ckd_any", "affirmed"),
        ("ingen tegn til dyb venetrombose", "vte", "negated"),
        ("mor havde brystkræft", "breast_cancer", "family"),
        ("obs lungeemboli", "vte", "possible"),
    ],
)
def test_words_of_the_nordic_languages_are_read(words: str, group: str, assertion: str) -> None:
    reading = understand({"resourceType": "Condition", "code": {"text": words}})
    assert ((group in reading.groups), reading.assertion) == (assertion == "affirmed", assertion)


@for_rows(
    ("name", "more", "analyte"),
    [
        ("Blutbild", {}, "platelets"),
        ("CBC", {}, "platelets"),
        ("Urinstatus", {}, None),
        ("Liquor", {}, None),
        ("CBC", {"specimen": {"display": "Sammelurin"}}, None),
        ("CBC", {"bodySite": {"text": "Pleural fluid"}}, None),
    ],
)
def test_parts_are_read_by_name_where_a_panel_of_blood_names_them(
    name: str, more: dict[str, Any], analyte: str | None
) -> None:
    part = {"code": {"text": "Thrombozyten"}, "valueQuantity": {"value": 17, "unit": "Mrd/l"}}
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": name}, "component": [part]}
    assert understand(observation | more).analyte == analyte


# How much of the problems and vaccinations of public charts is understood, by source (shared/data/fhir).


_LEAST = {"mimic-iv-demo Condition": 1.0, "synthea Condition": 0.98, "synthea Immunization": 1.0}


@pytest.mark.slow
@pytest.mark.outside_data
def test_the_share_of_public_charts_that_is_understood_does_not_fall(data_folder: Path) -> None:
    read: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    kinds = {name.partition(" ")[2] for name in _LEAST}
    for path in sorted((data_folder / "fhir").glob("*/*.json.gz")):
        bundle = json.loads(gzip.decompress(path.read_bytes()))
        for resource in (entry["resource"] for entry in bundle.get("entry", ())):
            if resource["resourceType"] in kinds:
                source = f"{path.parent.name} {resource['resourceType']}"
                reading = understand(resource)
                seen[source] += 1
                read[source] += reading.understood
                if not reading.understood:
                    unread[f"{source}: {reading.words}"] += 1
    shares = {source: read[source] / number for source, number in seen.items()}
    print(shares, unread.most_common(20))
    assert {source for source, least in _LEAST.items() if shares.get(source, 1.0) < least} == set()


_MEASURED = ("BMI", "EF", "LVEF", "QTc", "INR", "K", "Ca", "METs", "weeks", "SSW", "G2P1", "stage", "mg", "q8h", "2019")
_ODD = (
    *("²", "1²", "①", "½", "٣", "Ⅳ", "㎎", "1e400", "0/0", "-", "/", "+", ":", "(", "%", ">", "≥", "40-²", "²/40"),
    *("\u200b", "9" * 30),
)  # fmt: skip


@pytest.mark.parametrize("between", ["", " "])
def test_no_sign_beside_the_name_of_a_number_ends_the_reading(between: str) -> None:
    for first, second in product(_MEASURED, _ODD):
        text = {"text": f"{first}{between}{second} {first}"}
        order = {"medicationCodeableConcept": {"text": "Fentanyl"}, "dosageInstruction": [text], "status": "active"}
        report = {"code": {"text": "Mammogram"}, "conclusion": text["text"]}
        assert all(
            (
                _of("Condition", code=text), _of("AllergyIntolerance", code=text), _of("MedicationRequest", **order),
                _of("Observation", code=text, valueString=text["text"]), _of("DiagnosticReport", **report),
            )
        )  # fmt: skip
