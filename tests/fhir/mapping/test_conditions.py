"""Which conditions count: by status, verification, date, and the special rules of single keys."""

import pytest

from fhir.mapping.conditions import doubted_conditions, doubtful_problems, find_condition
from fhir.mapping.gaps import gaps
from fhir.terminology.conditions import CONDITION_GROUPS
from tests.each import for_rows
from tests.fhir.builders import ICD10, MAN, SUBJECT, condition, creatinine, encounter, observation, record_of

PREGNANT = "72892002"


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_a_refuted_condition_does_not_count(status: str) -> None:
    refuted = condition("49436004", verificationStatus={"coding": [{"code": status}]})
    assert find_condition(record_of(refuted), "afib") is None


@for_rows("status", ["confirmed", "provisional", "differential", "unconfirmed"])
def test_a_condition_that_is_not_refuted_counts(status: str) -> None:
    assert find_condition(record_of(condition("49436004", verificationStatus={"coding": [{"code": status}]})), "afib")


def test_an_onset_in_the_future_is_not_a_fact_yet() -> None:
    assert find_condition(record_of(condition("49436004", onsetDateTime="2027-01-01")), "afib") is None


@pytest.mark.parametrize(("start", "counts"), [("2026-11-20", True), ("2026-11-21", False)])
def test_an_undated_condition_is_of_the_beginning_of_its_encounter(start: str, counts: bool) -> None:
    visit = encounter("AMB", "planned", id="e9", period={"start": start})
    undated = condition("49436004") | {"encounter": {"reference": "Encounter/e9"}}
    assert (find_condition(record_of(undated, visit), "afib") is not None) is counts
    dated = undated | {"recordedDate": "2026-11-01"}
    assert find_condition(record_of(dated, visit), "afib") is not None


@for_rows(("words", "dates", "is_acute"))
def test_an_infarction_is_acute_for_six_months_and_a_year_in_its_words_dates_it(
    words: str, dates: dict[str, str], *, is_acute: bool
) -> None:
    record = record_of(condition("22298006") | {"code": {"text": words}} | dates)
    assert (find_condition(record, "infarction_acute") is not None) is is_acute
    assert find_condition(record, "myocardial_infarction") is not None


@pytest.mark.parametrize(
    ("words", "recorded", "group", "counts"),
    [
        ("Diabetic ketoacidosis", "2025-11-01", "ketoacidosis", False),
        ("Diabetic ketoacidosis", "2025-11-01", "ketoacidosis_ever", True),
        ("Diabetic ketoacidosis", "2026-11-01", "ketoacidosis", True),
        ("Septic shock", "2026-01-05", "shock", False),
        ("Postprocedural hypotension", "2026-08-01", "hypotension", False),
        ("Postprocedural hypotension", "2026-11-01", "hypotension", True),
        ("Chronic hypotension", "2026-01-05", "hypotension", True),
        ("Orthostatic hypotension", "2026-01-05", "orthostatic_hypotension", True),
        ("Dehydration", "2026-01-05", "dehydration", False),
        ("Acute kidney injury", "2026-01-05", "aki", False),
        ("Acute on chronic systolic heart failure", "2026-01-05", "hf_decompensated", False),
        ("Acute on chronic systolic heart failure", "2026-01-05", "heart_failure", True),
        ("Acute respiratory failure", "2026-01-05", "respiratory_failure", False),
        ("Acute and chronic respiratory failure", "2026-01-05", "respiratory_failure", True),
        ("Chronic respiratory failure", "2026-01-05", "respiratory_failure", True),
        ("Przewlekła hiponatremia", "2024-01-05", "hyponatremia", True),
        ("Hypercalcemia due to hyperparathyroidism", "2024-01-05", "hypercalcemia", True),
    ],
)
def test_a_state_of_days_that_a_stay_of_long_ago_names_is_over_and_after_a_year_an_active_one(
    words: str, recorded: str, group: str, counts: bool
) -> None:
    stated = condition("22298006") | {"code": {"text": words}, "recordedDate": recorded}
    unstated = {member: value for member, value in stated.items() if member != "clinicalStatus"}
    assert (find_condition(record_of(unstated), group) is not None) is counts
    is_found = find_condition(record_of(stated | {"clinicalStatus": {"text": "active"}}), group) is not None
    assert is_found is (counts or recorded > "2025-12")


def test_a_forgotten_state_that_a_result_shows_is_over_once_there_is_a_later_one() -> None:
    forgotten = condition("22298006") | {"code": {"text": "Acute kidney injury"}, "recordedDate": "2024-05-05"}
    forgotten |= {"clinicalStatus": {"text": "active"}}
    assert find_condition(record_of(forgotten), "aki") is not None
    assert find_condition(record_of(forgotten, creatinine(1.0)), "aki") is None


@pytest.mark.parametrize(("potassium", "lasts"), [(4.4, False), (5.6, True), (None, True)])
def test_a_forgotten_hyperkalemia_lasts_while_the_newest_potassium_is_high(
    potassium: float | None, lasts: bool
) -> None:
    stated = condition("22298006") | {"code": {"text": "Hyperkalemia"}, "recordedDate": "2024-05-05"}
    stated |= {"clinicalStatus": {"text": "active"}}
    results = [] if potassium is None else [observation("2823-3", potassium, "mmol/L", "2026-11-10")]
    assert (find_condition(record_of(stated, *results), "hyperkalemia") is not None) is lasts


def test_pre_eclampsia_lasts_no_longer_than_its_pregnancy_and_twelve_weeks() -> None:
    for began, is_found in (("2026-10-30", True), ("2022-10-30", False)):
        stated = condition("22298006", onsetDateTime=began) | {"code": {"text": "Severe pre-eclampsia"}}
        assert (find_condition(record_of(stated), "preeclampsia_eclampsia") is not None) is is_found


def test_what_begins_around_the_birth_counts_in_the_first_year() -> None:
    for born, is_found in (("2026-11-10", True), ("2022-11-10", False)):
        child = record_of(condition("P52.1", ICD10), patient=MAN | {"birthDate": born})
        assert (find_condition(child, "intracranial_bleeding") is not None) is is_found


def test_a_condition_without_a_code_is_read_over() -> None:
    record = record_of({"resourceType": "Condition", "id": "c", "subject": SUBJECT})
    assert all(find_condition(record, key) is None for key in CONDITION_GROUPS)


def test_on_a_mans_record_a_pregnancy_is_refused_and_named() -> None:
    record = record_of(condition(PREGNANT, onsetDateTime="2026-05-01"), patient=MAN)
    assert find_condition(record, "pregnancy") is None
    assert [(gap.subject, gap.reason) for gap in gaps(record)] == [(f"Condition/c-{PREGNANT}", "impossible")]


def test_doubt_is_told_where_nothing_is_confirmed() -> None:
    doubted = condition("49436004", verificationStatus={"coding": [{"code": "differential"}]})
    gout = condition("90560007")
    record = record_of(doubted, gout)
    assert [hit.key for hit in doubted_conditions(record, ["condition:afib", "age"])] == ["afib"]
    assert doubted_conditions(record, ["condition:afib", "condition:gout"]) == []
    assert doubted_conditions(record, ["condition:diabetes"]) == []
    assert dict(doubtful_problems(record)) == {"Condition/c-49436004": ("condition 49436004", "differential")}


def test_a_valve_of_which_nobody_says_the_kind_is_warned_of_as_a_mechanical_one() -> None:
    valve = condition("Z95.2", ICD10)
    valve["code"]["text"] = "Presence of heart valve prosthesis"
    hit = find_condition(record_of(valve), "mechanical_valve")
    assert hit is not None
    assert (hit.key, hit.source) == ("mechanical_valve", "Condition/c-Z95.2")


@for_rows(
    ("certainty", "counts", "doubt"), [("G", True, ""), ("A", False, ""), ("V", True, "provisional"), ("Z", False, "")]
)
def test_how_sure_a_german_code_is_says_whether_it_counts(certainty: str, counts: bool, doubt: str) -> None:
    stated = {
        "url": "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit",
        "valueCoding": {
            "system": "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT",
            "code": certainty,
        },
    }
    others = [
        {"url": "urn:x", "valueCoding": {"code": "A"}},
        {"url": "urn:y"},
        {"url": stated["url"]},
        {"valueCoding": {"code": "A"}},
    ]
    coding = {"system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "code": "I26.9", "extension": [*others, stated]}
    embolism = condition("I26.9") | {"code": {"coding": [coding], "text": "Lungenembolie"}}
    hit = find_condition(record_of(embolism), "vte")
    assert (hit is not None, hit.doubt if hit is not None else "") == (counts, doubt)
    assert (find_condition(record_of(embolism), "vte_ever") is not None) is (certainty != "A")
