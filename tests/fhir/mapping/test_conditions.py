"""Which conditions count: by status, verification, date, and the special rules of single keys."""

from typing import Any

import pytest

from fhir.mapping.conditions import (
    ConditionHit,
    condition_status,
    doubted_conditions,
    doubted_pregnancy,
    doubtful_problems,
    find_condition,
    problems_of,
    words_and_code,
)
from fhir.record.datatypes import parse_time
from fhir.record.refusals import Refusal
from fhir.terminology.conditions import CONDITION_GROUPS
from tests.each import for_rows
from tests.fhir.builders import AS_OF, ICD10, MAN, SNOMED, SUBJECT, WOMAN, condition, encounter, observation, record_of

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


@pytest.mark.parametrize("key", ["gi_bleed_or_ulcer", "overdose", "urticaria_angioedema"])
def test_history_counts_where_the_key_says_so(key: str) -> None:
    code = {"gi_bleed_or_ulcer": "13200003", "overdose": "55680006", "urticaria_angioedema": "41291007"}[key]
    assert find_condition(record_of(condition(code, status="resolved", onsetDateTime="1990")), key)


@pytest.mark.parametrize(("onset", "counts"), [("2022-01-01", True), ("2021-11-21", True), ("2021-11-10", False)])
def test_a_fall_counts_for_five_years_healed_or_not(onset: str, counts: bool) -> None:
    fall = condition("161898004", status="resolved", onsetDateTime=onset)
    assert (find_condition(record_of(fall), "falls_or_fracture") is not None) is counts


@for_rows(
    ("words", "dates", "is_acute"),
    [
        ("STEMI", {}, True),
        ("STEMI", {"recordedDate": "2026-05-21"}, True),
        ("STEMI", {"recordedDate": "2026-05-20"}, False),
        ("STEMI", {"onsetDateTime": "2019-03-02", "recordedDate": "2026-11-01"}, False),
        ("STEMI 2010", {"recordedDate": "2026-11-01"}, False),
        ("NSTEMI 3/2019", {"recordedDate": "2026-11-01"}, False),
        ("NSTEMI 12.3.2019", {"recordedDate": "2026-11-01"}, False),
        ("STEMI 2019-03-12.", {}, False),
        ("STEMI 2026", {"recordedDate": "2026-11-01"}, True),
        ("STEMI 2010", {"onsetDateTime": "2026-11-01"}, True),
        ("STEMI 2010, NSTEMI 2026", {"recordedDate": "2026-11-01"}, True),
        ("STEMI, heparin 2000 units", {"recordedDate": "2026-11-01"}, True),
    ],
)
def test_an_infarction_is_acute_for_six_months_and_a_year_in_its_words_dates_it(
    words: str, dates: dict[str, str], *, is_acute: bool
) -> None:
    record = record_of(condition("22298006") | {"code": {"text": words}} | dates)
    assert (find_condition(record, "infarction_acute") is not None) is is_acute
    assert find_condition(record, "myocardial_infarction") is not None


def test_a_key_that_the_table_does_not_have_is_an_error_and_not_silence() -> None:
    with pytest.raises(KeyError, match="afibb"):
        find_condition(record_of(), "afibb")


def test_a_condition_without_a_code_is_read_over() -> None:
    record = record_of({"resourceType": "Condition", "id": "c", "subject": SUBJECT})
    assert all(find_condition(record, key) is None for key in CONDITION_GROUPS)


@for_rows(
    ("code", "expected"),
    [
        ({"coding": [{"system": "urn:oid:2.999", "code": "X1"}], "text": "odd"}, ("odd", "urn:oid:2.999|X1")),
        ({"coding": [{"system": "urn:oid:2.999", "code": "X1"}]}, ("X1", "urn:oid:2.999|X1")),
        ({"coding": [{"code": "X1"}]}, ("X1", "|X1")),
        ({"coding": [{"display": "odd"}, {"system": "urn:oid:2.999", "code": "X2"}]}, ("odd", "urn:oid:2.999|X2")),
        ({"text": "odd"}, ("odd", "text")),
        ({}, ("an entry without code and text", "text")),
    ],
)
def test_an_entry_that_means_nothing_known_is_called_by_its_words_and_its_first_code(
    code: dict[str, Any], expected: tuple[str, str]
) -> None:
    (entry,) = record_of({"resourceType": "Condition", "id": "c", "subject": SUBJECT, "code": code}).conditions
    assert words_and_code(entry.code) == expected


def test_on_a_mans_record_a_pregnancy_is_refused_and_named() -> None:
    record = record_of(condition(PREGNANT, onsetDateTime="2026-05-01"), patient=MAN)
    assert find_condition(record, "pregnancy") is None
    assert [(refusal.subject, refusal.reason) for refusal in record.refusals] == [
        (f"Condition/c-{PREGNANT}", "impossible")
    ]


@for_rows(
    ("more", "when"),
    [
        ({"onsetDateTime": "2020", "onsetPeriod": {"start": "2019"}, "recordedDate": "2021"}, "2020"),
        ({"onsetPeriod": {"start": "2019"}, "recordedDate": "2021"}, "2019"),
        ({"recordedDate": "2021"}, "2021"),
        ({}, None),
        ({"encounter": {"reference": "Encounter/other"}}, None),
        ({"encounter": {"reference": "Encounter/undated"}}, None),
    ],
)
def test_a_hit_has_the_words_the_code_the_source_and_the_day(more: dict[str, Any], when: str | None) -> None:
    resource = condition("49436004", **more)
    hit = find_condition(record_of(resource, encounter("AMB", id="undated", period=None)), "afib")
    assert hit == ConditionHit(
        "afib", "condition 49436004", "49436004", "Condition/c-49436004", parse_time(when) if when else None, "active",
        is_onset="onsetDateTime" in more or "onsetPeriod" in more,
    )  # fmt: skip
    nameless = {name: part for name, part in resource.items() if name != "id"}
    hit = find_condition(record_of(nameless), "afib")
    assert hit is not None
    assert hit.source == "Condition without id"


@for_rows(
    ("more", "status"),
    [
        ({}, "active"),
        ({"abatementDateTime": "2026-11-20"}, "past"),
        ({"abatementDateTime": "2026-11-22"}, "active"),
        ({"abatementPeriod": {"start": "2026-01-01", "end": "2026-12-01"}}, "active"),
        ({"abatementPeriod": {"start": "2026-01-01"}}, "past"),
        ({"abatementDateTime": "2026-12-01", "abatementPeriod": {"end": "2020-01-01"}}, "active"),
        ({"abatementString": ""}, "active"),
        ({"abatementString": "in childhood"}, "past"),
        ({"abatementAge": {"value": 30, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a"}}, "past"),
        ({"abatementRange": {"low": {"value": 30}, "high": {"value": 40}}}, "past"),
        ({"clinicalStatus": {}}, "unstated"),
        ({"clinicalStatus": None}, "unstated"),
        ({"clinicalStatus": {"coding": [{"code": "inactive"}]}}, "past"),
        ({"clinicalStatus": {"coding": [{"code": "remission"}]}}, "past"),
        ({"clinicalStatus": {"text": "Relapse"}}, "active"),
        ({"clinicalStatus": {"text": "Resolved"}}, "past"),
        ({"clinicalStatus": {"coding": [{"code": "x"}, {"code": "recurrence"}]}}, "active"),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}], "text": "Active"}}, "active"),
    ],
)
def test_whether_a_condition_is_going_on(more: dict[str, Any], status: str) -> None:
    record = record_of(condition("49436004") | more)
    assert condition_status(record.conditions[0], AS_OF.timestamp()) == status
    hit = find_condition(record, "afib")
    assert (hit.status if hit is not None else "past") == status


def test_doubt_is_told_where_nothing_is_confirmed() -> None:
    doubted = condition("49436004", verificationStatus={"coding": [{"code": "differential"}]})
    gout = condition("90560007")
    record = record_of(doubted, gout)
    assert [hit.key for hit in doubted_conditions(record, ["condition:afib", "age"])] == ["afib"]
    assert doubted_conditions(record, ["condition:afib", "condition:gout"]) == []
    assert doubted_conditions(record, ["condition:diabetes"]) == []
    assert dict(doubtful_problems(record)) == {"Condition/c-49436004": ("condition 49436004", "differential")}


def test_a_pregnancy_ahead_on_a_mans_record_is_not_named() -> None:
    ahead = condition(PREGNANT, onsetDateTime="2027-05-01")
    undated = condition(PREGNANT)
    for resource, named in ((ahead, False), (undated, True)):
        record = record_of(resource, patient=MAN)
        assert find_condition(record, "pregnancy") is None
        assert (doubted_pregnancy(record) is not None) is named
        text = f"Condition/c-{PREGNANT}: a pregnancy code on a man's record: not used."
        refusal = Refusal(f"Condition/c-{PREGNANT}", "impossible", text)
        assert record.refusals == ((refusal,) if named else ())
    due = observation("11778-8", when="2026-11-01", valueDateTime="2027-03-01")
    for patient in (MAN, WOMAN):
        record = record_of(condition(PREGNANT), due, patient=patient | {"birthDate": "1996-11-20"})
        assert (find_condition(record, "pregnancy") is not None, doubted_pregnancy(record)) == (True, None)


def test_a_code_that_says_all_is_not_read_by_the_words_beside_it_in_another_code_too() -> None:
    follow_up = {"system": ICD10, "code": "Z09"}
    local = {"system": "urn:oid:2.999", "code": "X1", "display": "an entry"}
    for codings, is_there in (([local], True), ([follow_up, local], False), ([local, follow_up], False)):
        told = condition("Z09") | {"code": {"coding": codings, "text": "Stroke"}}
        assert (find_condition(record_of(told), "stroke") is not None) is is_there


def test_a_valve_of_which_nobody_says_the_kind_is_warned_of_as_a_mechanical_one() -> None:
    valve = condition("Z95.2", ICD10)
    valve["code"]["text"] = "Presence of heart valve prosthesis"
    hit = find_condition(record_of(valve), "mechanical_valve")
    assert hit is not None
    assert (hit.key, hit.source) == ("mechanical_valve", "Condition/c-Z95.2")


@for_rows(
    ("words", "is_there"),
    [("Mechanical aortic valve", True), ("Bioprosthetic aortic valve", False), ("Presence of TAVR valve", False)],
)
@for_rows(("code", "system"), [("Z95.2", ICD10), ("705991002", SNOMED)])
def test_a_valve_of_tissue_is_no_mechanical_one(words: str, is_there: bool, code: str, system: str) -> None:
    valve = condition(code, system)
    valve["code"]["text"] = words
    assert (find_condition(record_of(valve), "mechanical_valve") is not None) is is_there


@for_rows("code", ["Z86.79", "z87.09", "R69"])
@for_rows(("words", "key"), [("Atrial fibrillation", "afib"), ("Gout", "gout"), ("Stroke", "stroke")])
def test_the_words_beside_a_code_of_history_tell_only_what_history_counts_for(code: str, words: str, key: str) -> None:
    """ICD-10-CM Z86 and Z87: personal history; R69 (illness, unspecified) says nothing against its words."""
    told = condition(code, ICD10)
    told["code"]["text"] = words
    is_there = find_condition(record_of(told), key) is not None
    group = CONDITION_GROUPS[key]
    in_words = group.history_in_words and not group.is_lasting
    assert is_there is (code == "R69" or in_words or group.history != "")
    told["code"] = {"coding": [{"system": "urn:local", "code": code}], "text": f"Known {words.lower()}"}
    assert find_condition(record_of(told), key) is not None


def test_of_two_entries_of_one_pregnancy_and_day_the_first_dates_it() -> None:
    first, second = (condition(PREGNANT, id=name, onsetDateTime="2026-09-01") for name in ("a", "b"))
    for conditions in ((first, second), (second, first)):
        hit = find_condition(record_of(*conditions), "pregnancy")
        assert hit is not None
        assert hit.source == f"Condition/{conditions[0]['id']}"
    undated = condition(PREGNANT, id="undated")
    for conditions in ((first, undated), (undated, first)):
        hit = find_condition(record_of(*conditions), "pregnancy")
        assert hit is not None
        assert hit.source == "Condition/a"


@pytest.mark.parametrize(("status", "counts"), [("active", True), (None, True), ("resolved", False)])
def test_a_fall_without_a_date_counts_unless_it_is_over(status: str | None, counts: bool) -> None:
    fall = condition("W19", ICD10, status=status)
    assert (find_condition(record_of(fall), "falls_or_fracture") is not None) is counts


@for_rows(
    ("words", "groups"),
    [
        ("History of stroke", []), ("Stroke", ["stroke"]), ("Gout; history of stroke", ["gout"]),
        ("Stroke; history of gout", ["stroke"]),
    ],
)  # fmt: skip
def test_what_is_only_of_the_past_in_words_is_no_problem(words: str, groups: list[str]) -> None:
    said = {"resourceType": "Condition", "id": "w", "code": {"text": words}, "subject": SUBJECT}
    assert [hit.key for hit in problems_of(record_of(said), ["stroke", "gout"])] == groups


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


@pytest.mark.parametrize("key", ["vte_ever", "myasthenia", "bleeding_disorder"])
def test_what_is_resolved_and_still_forbids_a_drug_counts(key: str) -> None:
    code = {"vte_ever": "I26.99", "myasthenia": "G70.00", "bleeding_disorder": "D66"}[key]
    assert find_condition(record_of(condition(code, ICD10, status="resolved")), key) is not None
    assert find_condition(record_of(condition("I26.99", ICD10, status="resolved")), "vte") is None
